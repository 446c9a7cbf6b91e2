// The default seccomp profile: what a container may call when nobody says otherwise, as a compact table of public
// facts. Most names are free for all; some come with a capability, some only with certain arguments. An unknown name
// is harmless: the compiler of the filter skips what its kernel headers do not know.

import { Failure } from "../../base/errors.ts";
import type { Seccomp, SeccompArgument, SeccompRule } from "./oci.ts";

const EPERM = 1;
const ENOSYS = 38;

/** Free for every container, by subject. */
const ALLOWED = `
  access chdir chmod chown chown32 creat faccessat faccessat2 fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
  close close_range dup dup2 dup3 open openat openat2 link linkat symlink symlinkat readlink readlinkat unlink unlinkat
  rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat getdents getdents64 getcwd umask name_to_handle_at
  stat stat64 fstat fstat64 lstat lstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64 cachestat
  truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 readahead sync syncfs fsync fdatasync
  sync_file_range utime utimes utimensat utimensat_time64 futimesat flock fcntl fcntl64 ioctl lseek _llseek
  getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr
  fremovexattr getxattrat setxattrat listxattrat removexattrat file_getattr file_setattr
  read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 copy_file_range sendfile sendfile64 splice
  tee vmsplice pipe pipe2 select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create
  epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2
  signalfd signalfd4 inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
  accept accept4 bind connect listen getpeername getsockname getsockopt setsockopt socketpair socketcall shutdown
  send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
  brk mmap mmap2 munmap mremap mprotect msync madvise mincore mlock mlock2 mlockall munlock munlockall memfd_create
  memfd_secret membarrier remap_file_pages pkey_alloc pkey_free pkey_mprotect mseal map_shadow_stack
  execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tkill tgkill pause restart_syscall
  pidfd_open pidfd_send_signal process_mrelease prctl seccomp set_tid_address set_robust_list get_robust_list
  set_thread_area get_thread_area futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue rseq uretprobe
  rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn alarm getitimer setitimer
  getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid getuid32 geteuid geteuid32 getgid getgid32
  getegid getegid32 getgroups getgroups32 getresuid getresuid32 getresgid getresgid32 setuid setuid32 setgid setgid32
  setgroups setgroups32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid
  setfsuid32 setfsgid setfsgid32 capget capset getrlimit ugetrlimit setrlimit prlimit64 getrusage getpriority
  setpriority ioprio_get ioprio_set sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam
  sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
  sched_rr_get_interval sched_rr_get_interval_time64 sched_yield getcpu sysinfo uname times time getrandom
  adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep timer_create timer_delete timer_getoverrun
  timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
  timerfd_settime timerfd_settime64
  ipc mq_open mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive
  mq_timedreceive_time64 msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl
  shmdt shmget landlock_create_ruleset landlock_add_rule landlock_restrict_self
  lsm_get_self_attr lsm_list_modules lsm_set_self_attr listmount statmount
  process_vm_readv process_vm_writev ptrace arch_prctl modify_ldt
`;

/** What one capability more opens. */
const WITH_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_DAC_READ_SEARCH: "open_by_handle_at",
  CAP_SYS_ADMIN:
    "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount " +
    "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
  CAP_SYS_BOOT: "reboot",
  CAP_SYS_CHROOT: "chroot",
  CAP_SYS_MODULE: "delete_module init_module finit_module",
  CAP_SYS_PACCT: "acct",
  CAP_SYS_PTRACE: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
  CAP_SYS_RAWIO: "iopl ioperm",
  CAP_SYS_TIME: "settimeofday stime clock_settime clock_settime64",
  CAP_SYS_TTY_CONFIG: "vhangup",
  CAP_SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
  CAP_SYSLOG: "syslog",
  CAP_BPF: "bpf",
  CAP_PERFMON: "perf_event_open",
};

/** personality(2) values that change nothing a guard relies on: Linux, Linux32, both with UNAME26, and "ask". */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** The namespace bits of clone(2): NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NAMESPACES = 0x7e020000;

const AF_VSOCK = 40;

/** The profile of a container with this bounding set. */
export function defaultSeccomp(bounding: readonly string[]): Seccomp {
  const rules: SeccompRule[] = [allow(ALLOWED)];
  rules.push(allow("socket", [{ index: 0, value: AF_VSOCK, op: "SCMP_CMP_NE" }]));
  for (const value of PERSONALITIES) rules.push(allow("personality", [{ index: 0, value, op: "SCMP_CMP_EQ" }]));
  for (const [capability, names] of Object.entries(WITH_CAPABILITY)) {
    if (bounding.includes(capability)) rules.push(allow(names));
  }
  if (!bounding.includes("CAP_SYS_ADMIN")) {
    rules.push(
      allow("clone", [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]),
      // A filter cannot look behind clone3's pointer; ENOSYS makes the C library fall back to clone.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
    );
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: rules,
  };
}

/** A profile file as Docker accepts it: OCI's form with conditional rules and an architecture map on top. */
export interface SeccompFile {
  defaultAction?: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  archMap?: { architecture: string; subArchitectures?: string[] | null }[];
  flags?: string[];
  syscalls?: (SeccompRule & { name?: string; includes?: Condition; excludes?: Condition })[];
}

interface Condition {
  caps?: string[];
  arches?: string[];
  minKernel?: string;
}

/** Reads a user's profile for a container with this bounding set. The text is the file's content. */
export function readSeccompProfile(text: string, bounding: readonly string[]): Seccomp {
  let file: SeccompFile;
  try {
    file = JSON.parse(text) as SeccompFile;
  } catch (cause) {
    throw new Failure("invalid_argument", `Decoding seccomp profile failed: ${(cause as Error).message}`, { cause });
  }
  if (typeof file !== "object" || file === null || typeof file.defaultAction !== "string") {
    throw new Failure("invalid_argument", "Decoding seccomp profile failed: defaultAction is missing");
  }
  if (file.architectures !== undefined && file.archMap !== undefined) {
    throw new Failure("invalid_argument", "both 'architectures' and 'archMap' are specified in the seccomp profile");
  }
  const native = file.archMap?.find((entry) => entry.architecture === "SCMP_ARCH_X86_64");
  const architectures =
    file.architectures ?? (native ? [native.architecture, ...(native.subArchitectures ?? [])] : undefined);
  const syscalls = (file.syscalls ?? []).filter((rule) => applies(rule, bounding)).map(plainRule);
  const profile: Seccomp = { defaultAction: file.defaultAction, syscalls };
  if (file.defaultErrnoRet !== undefined) profile.defaultErrnoRet = file.defaultErrnoRet;
  if (architectures !== undefined) profile.architectures = architectures;
  if (file.flags !== undefined) profile.flags = file.flags;
  return profile;
}

function applies(rule: { includes?: Condition; excludes?: Condition }, bounding: readonly string[]): boolean {
  const { includes, excludes } = rule;
  if (excludes?.caps?.some((name) => bounding.includes(name))) return false;
  if (excludes?.arches?.includes("amd64")) return false;
  if (includes?.arches && includes.arches.length > 0 && !includes.arches.includes("amd64")) return false;
  // minKernel is never above the oldest kernel the project supports (6.1), so it always holds.
  return !includes?.caps?.some((name) => !bounding.includes(name));
}

function plainRule(rule: SeccompRule & { name?: string }): SeccompRule {
  const plain: SeccompRule = { names: rule.names ?? (rule.name ? [rule.name] : []), action: rule.action };
  if (rule.errnoRet !== undefined) plain.errnoRet = rule.errnoRet;
  if (rule.args && rule.args.length > 0) plain.args = rule.args;
  return plain;
}

function allow(names: string, args?: SeccompArgument[]): SeccompRule {
  const rule: SeccompRule = { names: names.trim().split(/\s+/), action: "SCMP_ACT_ALLOW" };
  if (args !== undefined) rule.args = args;
  return rule;
}
