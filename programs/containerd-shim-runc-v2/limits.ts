// Every bound of the shim, with its unit.

/** Bytes moved from one descriptor at a time before others get their turn. */
export const COPY_CHUNK = 32 << 10;
/** Bytes of stdin of `start`, `-info` and of a publish command: options are some hundred. */
export const STDIN_LIMIT = 1 << 20;
/** Bytes of config.json, of runc's log and of its output. */
export const CONFIG_LIMIT = 16 << 20;
export const RUNC_OUTPUT_LIMIT = 1 << 20;
/** Milliseconds to wait for a client to open its end of an output FIFO. */
export const FIFO_OPEN_TIMEOUT = 10_000;
/** Milliseconds between two attempts to open one. */
export const FIFO_OPEN_INTERVAL = 5;
/** Milliseconds for a logging program to say that it is ready, and to end once it was asked to. */
export const LOGGER_START_TIMEOUT = 10_000;
export const LOGGER_END_TIMEOUT = 12_000;
/** Milliseconds that the end of its input alone may take to end it, before it is asked by a signal. */
export const LOGGER_GRACE = 1_000;
/** Milliseconds for the runtime to send the terminal after it connected. */
export const CONSOLE_TIMEOUT = 10_000;
/** Milliseconds that the rest of an ended process's output may take to reach its log or its reader. */
export const DRAIN_TIMEOUT = 2_000;
/** Bytes read of an ended process's output in that time: a pipe holds at most 1 MiB unprivileged. */
export const DRAIN_LIMIT = 4 << 20;
/** Events waiting for the daemon; beyond it the oldest is dropped and counted. */
export const EVENT_QUEUE_LIMIT = 2048;
/** Refusals after which an event is given up, and milliseconds between attempts (doubling) while the daemon is away.
 *  Who comes back connects to the shim, which ends the waiting. */
export const EVENT_ATTEMPTS = 5;
export const EVENT_RETRY_FIRST = 50;
export const EVENT_RETRY_LAST = 10_000;
/** Milliseconds that the end of the shim waits for its last events and answers. */
export const SHUTDOWN_TIMEOUT = 3_000;
export const SHUTDOWN_INTERVAL = 5;
/** Exits remembered of processes whose pid is not known yet, while a runtime call is under way. */
export const EARLY_EXIT_LIMIT = 4096;
/** Docker's json-file: bytes of one part of a long line. */
export const LOG_PART = 16 << 10;
export const LOG_SIZE_DEFAULT = 20 << 20;
export const LOG_FILES_DEFAULT = 5;
/** Attach socket: clients at a time, and bytes queued for one client. */
export const ATTACH_CLIENT_LIMIT = 64;
export const ATTACH_QUEUE_LIMIT = 1 << 20;
/** Milliseconds without any progress after which a client with a full queue is cut. */
export const ATTACH_STALL_TIMEOUT = 2_000;
/** Milliseconds that a client which is to go (cut, or at the end of the output) has to read what is left for it. */
export const ATTACH_LINGER = 10_000;
/** Bytes of one line of the shim's own log. */
export const LOG_LINE_LIMIT = 4 << 10;
/** Milliseconds that a first process's exit waits for the exits of the others. */
export const KILL_ALL_TIMEOUT = 10_000;
/** Defects that a shim survives, because its container's life hangs on it. */
export const DEFECT_LIMIT = 100;
/** Loop devices tried while others take the free ones first. */
export const LOOP_ATTEMPTS = 100;
/** Bytes of a filesystem's options: the kernel takes one page, and a little is kept for what it adds. */
export const MOUNT_DATA_LIMIT = 4096 - 512;
/** The shim's server (wire/ttrpc/limits.ts says what each is): a shim is to stay small whatever comes to its socket. */
export const SERVER_LIMITS = { connections: 2048, calls: 4096, partial: 16 << 20, unsent: 16 << 20 } as const;
/** Open files: what connections may not take, for pipes, sockets of attached clients and the runtime's calls. */
export const DESCRIPTOR_RESERVE = 512;
/** Milliseconds that the containers of a sandbox have to end when it is stopped without a time. */
export const SANDBOX_STOP_TIMEOUT = 10_000;
/** Bytes of why a sandbox's namespaces could not be made. */
export const SANDBOX_REPORT_LIMIT = 4 << 10;
