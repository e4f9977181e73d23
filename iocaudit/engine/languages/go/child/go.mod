module iocaudit.io/child

go 1.26.0
