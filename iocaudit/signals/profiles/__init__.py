"""Expected activity: what a namespace's ActivityProfiles say runs there, is talked to and is asked for, and by whom."""
