// In a container, with all its rights: tries to look into and to trace every process that calls itself the runtime's,
// until the time is over. Prints what succeeded. `kill` as second argument ends them instead.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int runtimes(const char *pid)
{
	char path[300], name[64] = "";
	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	int fd = open(path, O_RDONLY);
	if (fd < 0) return 0;
	ssize_t got = read(fd, name, sizeof name - 1);
	close(fd);
	return got > 0 && strncmp(name, "runc", 4) == 0;
}

static int reaches(const char *pid, const char *what)
{
	char path[300], target[4096];
	snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
	if (strcmp(what, "fd") == 0) {
		// The numbers may be listed; what they stand for is another matter.
		for (int number = 0; number < 16; number++) {
			snprintf(path, sizeof path, "/proc/%s/fd/%d", pid, number);
			if (readlink(path, target, sizeof target) > 0) return 1;
		}
		return 0;
	}
	if (strcmp(what, "mem") == 0 || strcmp(what, "environ") == 0) {
		int fd = open(path, O_RDONLY);
		if (fd >= 0) close(fd);
		return fd >= 0;
	}
	return readlink(path, target, sizeof target) > 0;
}

int main(int argc, char **argv)
{
	static const char *const what[] = { "fd", "mem", "environ", "exe", "cwd", "root" };
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	int kills = argc > 2, seen = 0;
	setvbuf(stdout, NULL, _IONBF, 0);
	while (time(NULL) < end) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;
		while (proc && (entry = readdir(proc))) {
			const char *pid = entry->d_name;
			if (pid[0] < '0' || pid[0] > '9' || !runtimes(pid)) continue;
			seen++;
			if (kills) {
				kill(atoi(pid), SIGKILL);
				continue;
			}
			for (unsigned at = 0; at < sizeof what / sizeof *what; at++)
				if (reaches(pid, what[at]) && runtimes(pid)) printf("REACHED %s\n", what[at]);
			if (ptrace(PTRACE_SEIZE, atoi(pid), 0, 0) == 0) {
				if (runtimes(pid)) printf("REACHED trace\n");
				kill(atoi(pid), SIGKILL);
			}
		}
		if (proc) closedir(proc);
	}
	printf("seen %d\n", seen);
	return 0;
}
