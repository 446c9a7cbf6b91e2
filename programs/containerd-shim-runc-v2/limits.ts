// Every bound of the shim, with its unit.

/** Bytes read from a stream at once: while little comes (it shares its page with the head of the journal), and while it
 *  flows; at most a frame's payload. */
export const COPY_CHUNK_SMALL = 3 << 10;
export const COPY_CHUNK = 64 << 10;
/** Bytes moved from one stream before others get their turn. */
export const COPY_TURN = 256 << 10;
/** Bytes that the pipe of a stream takes while output flows, and else. */
export const PIPE_BUSY = 512 << 10;
export const PIPE_IDLE = 64 << 10;
/** Milliseconds without a chunk of some size after which the buffers for large ones are given back. */
export const RELAX_INTERVAL = 100;
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
/** Milliseconds that the end of the shim waits for its last events and answers. It stays on for clients that still read
 *  (ATTACH_FAREWELL is what each of them has), and serves nobody else then. */
export const SHUTDOWN_TIMEOUT = 3_000;
export const SHUTDOWN_INTERVAL = 5;
export const LINGER_INTERVAL = 50;
/** Exits remembered of processes whose pid is not known yet, while a runtime call is under way. */
export const EARLY_EXIT_LIMIT = 4096;
/** Docker's logs: bytes of one part of a long line. The host knows it, too (host/src/lines.rs). */
export const LOG_PART = 16 << 10;
/** Nanoseconds between two looks at the log's file while it is written: somebody may delete or empty it. */
export const LOG_LOOK_INTERVAL = 1_000_000_000n;
export const LOG_SIZE_DEFAULT = 20 << 20;
export const LOG_FILES_DEFAULT = 5;
/** Attach socket: clients at a time, and bytes kept for one client, in memory and then on disk. */
export const ATTACH_CLIENT_LIMIT = 64;
export const ATTACH_QUEUE_LIMIT = 256 << 10;
export const ATTACH_SPILL_LIMIT = 256 << 20;
/** Bytes sent of what was kept for a client before others get their turn. */
export const ATTACH_TURN = 1 << 20;
/** Milliseconds without any progress after which a client with a full queue is cut. */
export const ATTACH_STALL_TIMEOUT = 2_000;
/** Milliseconds without any progress that a client has to read why it was cut. */
export const ATTACH_LINGER = 10_000;
/** The same for what is left for it at the end of the output: somebody may look at a page of it for long, and holds up
 *  nobody. */
export const ATTACH_FAREWELL = 24 * 3600_000;
/** Milliseconds that the output of a container taken over waits for the clients which watched it before. */
export const ATTACH_RETURN_TIMEOUT = 2_000;
/** Bytes of one line of the shim's own log. */
export const LOG_LINE_LIMIT = 4 << 10;
/** Attempts, and milliseconds between them, to learn the status of an ended process that is not the shim's child. */
export const STATUS_ATTEMPTS = 3;
export const STATUS_INTERVAL = 5;
/** The exit status of a process whose end nobody can tell. */
export const EXIT_UNKNOWN = 255;
/** Bytes of a log that are looked at for records of the chunk that a killed shim had at hand. */
export const RECOVERY_LIMIT = 8 << 20;
/** Bytes of a file that holds a socket's address. */
export const ADDRESS_LIMIT = 4096;
/** Bytes of a record of a task or of a process. */
export const RECORD_LIMIT = 64 << 10;
/** Attempts at a call of the runtime that may be repeated, when the runtime is killed during it. */
export const REPEAT_ATTEMPTS = 3;
/** Milliseconds that a first process's exit waits for the exits of the others. */
export const KILL_ALL_TIMEOUT = 10_000;
/** Defects that a shim survives, because its container's life hangs on it. */
export const DEFECT_LIMIT = 100;
/** Milliseconds without any event after which a shim gives back what memory it can. */
export const REST_AFTER = 500;
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
/** Milliseconds that `delete` waits for the process that held a sandbox, and between two looks. */
export const HOLDER_END_TIMEOUT = 10_000;
export const HOLDER_END_INTERVAL = 2;
/** Milliseconds that `adopt` waits for a killed shim's last children to let go of its socket, and between two looks. */
export const LEFTOVER_TIMEOUT = 1_000;
export const LEFTOVER_INTERVAL = 5;
