"""What looks after the threads and tasks of a process: none ends, hangs or stalls without a consequence."""
