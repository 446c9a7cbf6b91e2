// Makes the system call of each number given and prints what came back.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int at = 1; at < argc; at++) {
		long result = syscall(atol(argv[at]), -1L, 0L, 0L, 0L, 0L, 0L);
		printf("%s %d\n", argv[at], result < 0 ? errno : 0);
	}
	return 0;
}
