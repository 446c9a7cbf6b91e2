//! Starting over from a read-only copy of the mount the executable lies on, before the engine is made. A container that
//! a program enters can then not write to the host's file through /proc/PID/exe, and the program is loaded only once.
//! Which programs ask for it, and for which arguments, is in the table (tools/build/programs.ts);
//! why, in docs/decisions.

use crate::Start;
use std::ffi::{c_char, CStr};

const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// `words` as the table has them: null never, empty always, else when one of the words is among the arguments.
pub unsafe fn wanted(words: *const c_char, start: &Start) -> bool {
    if words.is_null() {
        return false;
    }
    let words = CStr::from_ptr(words).to_bytes();
    let is_word = |argument: &&*const c_char| {
        let text = CStr::from_ptr(**argument).to_bytes();
        words.split(|byte| *byte == b' ').any(|word| word == text)
    };
    words.is_empty() || start.arguments.iter().skip(1).any(|argument| is_word(&argument))
}

/// Returns when the executable is on a read-only mount already, or when there is no right to clone a mount: then the
/// program itself decides what that means.
///
/// # Safety
/// Nothing may be open or allocated that the program still needs: on success the process image is replaced.
pub unsafe fn seal(start: &Start) {
    let own = c"/proc/self/exe".as_ptr();
    let mut place: libc::statvfs = std::mem::zeroed();
    if libc::statvfs(own, &mut place) != 0 || place.f_flag & libc::ST_RDONLY != 0 {
        return;
    }
    let path = libc::open(own, libc::O_PATH | libc::O_CLOEXEC);
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_EMPTY_PATH as libc::c_uint;
    let copy = libc::syscall(libc::SYS_open_tree, path, c"".as_ptr(), flags) as i32;
    libc::close(path);
    // struct mount_attr: set, clear, propagation, user namespace
    let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let (empty, size) = (c"".as_ptr(), std::mem::size_of_val(&attributes));
    let changed = libc::syscall(libc::SYS_mount_setattr, copy, empty, libc::AT_EMPTY_PATH, attributes.as_ptr(), size);
    if copy >= 0 && changed == 0 {
        let end = |list: &[*const c_char]| list.iter().copied().chain([std::ptr::null()]).collect::<Vec<_>>();
        let (arguments, environment) = (end(&start.arguments), end(&start.environment));
        let (argv, envp) = (arguments.as_ptr(), environment.as_ptr());
        libc::syscall(libc::SYS_execveat, copy, empty, argv, envp, libc::AT_EMPTY_PATH);
    }
    libc::close(copy);
}
