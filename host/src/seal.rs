//! Starting over from a read-only copy of the mount the executable lies on. A container that a program enters can then
//! not write to the host's file through /proc/PID/exe, and the program is loaded only once. Which programs ask for it,
//! and for which arguments, is in the table (tools/build/programs.ts); why, in docs/decisions.
//!
//! It runs as the executable's very first code, before libc has prepared anything, so that what is thrown away by
//! execve has cost a few page faults and no more. Nothing here may call libc, not even memcpy or memcmp: the functions
//! behind those names are chosen by libc's start. Bytes are read as volatile, which keeps the compiler from forming
//! such calls.

use crate::Program;
use core::arch::asm;
use core::ffi::c_char;

const OPEN_TREE_CLONE: usize = 1;
const MOUNT_ATTR_RDONLY: u64 = 1;
/// Words of struct statfs; f_flags is the eleventh.
const STATFS_WORDS: usize = 15;
const STATFS_FLAGS: usize = 10;
const ST_RDONLY: u64 = 1;

/// Returns when nothing asks for it, when the executable is on a read-only mount already, or when there is no right to
/// clone a mount: then unprivileged.rs is asked.
///
/// # Safety
/// `stack` is what the kernel left on it: the argument count, the arguments, the environment. `programs` is the table.
#[no_mangle]
pub unsafe extern "C" fn gantry_seal(stack: *const usize, programs: *const Program, count: usize) {
    let argc = *stack;
    if argc == 0 {
        return;
    }
    let argv = stack.add(1) as *const *const c_char;
    if asks(find(programs, count, *argv), argc, argv) {
        start_over(argv, argv.add(argc + 1));
    }
}

/// Whether the program wants to be sealed for these arguments.
pub unsafe fn asks(program: *const Program, argc: usize, argv: *const *const c_char) -> bool {
    let seal = (*program).seal;
    !seal.is_null() && (1..argc).any(|at| lists(seal, *argv.add(at)))
}

unsafe fn start_over(argv: *const *const c_char, envp: *const *const c_char) {
    let own = c"/proc/self/exe".as_ptr() as usize;
    let mut place = [core::mem::MaybeUninit::<u64>::uninit(); STATFS_WORDS];
    let asked = call(libc::SYS_statfs, [own, place.as_mut_ptr() as usize, 0, 0, 0]);
    if asked != 0 || place[STATFS_FLAGS].assume_init() & ST_RDONLY != 0 {
        return;
    }
    let copy = read_only_mount(libc::AT_FDCWD, own, 0);
    if copy >= 0 {
        let (empty, at) = (c"".as_ptr() as usize, libc::AT_EMPTY_PATH as usize);
        call(libc::SYS_execveat, [copy as usize, empty, argv as usize, envp as usize, at]);
        call(libc::SYS_close, [copy as usize, 0, 0, 0, 0]);
    }
}

/// A detached, read-only clone of the mount that a file lies on; negative without the right to make one.
pub unsafe fn read_only_mount(directory: i32, path: usize, flags: i32) -> isize {
    let flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | flags) as usize;
    let copy = call(libc::SYS_open_tree, [directory as usize, path, flags, 0, 0]);
    // struct mount_attr: set, clear, propagation, user namespace
    let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let (empty, at, size) = (c"".as_ptr() as usize, libc::AT_EMPTY_PATH as usize, core::mem::size_of_val(&attributes));
    if copy < 0 || call(libc::SYS_mount_setattr, [copy as usize, empty, at, attributes.as_ptr() as usize, size]) == 0 {
        return copy;
    }
    call(libc::SYS_close, [copy as usize, 0, 0, 0, 0]);
    -1
}

/// The program named by the last part of argv[0], with the historic prefix and suffix taken off if the whole name is
/// unknown; a file under another name runs the first program it carries.
pub unsafe fn find(programs: *const Program, count: usize, called: *const c_char) -> *const Program {
    let (mut name, mut end) = (called, called);
    while byte(end) != 0 {
        end = end.add(1);
        if byte(end.sub(1)) == b'/' {
            name = end;
        }
    }
    let bare = if starts(name, b"docker-") { name.add(b"docker-".len()) } else { name };
    let short = end.sub(b"-current".len());
    let short = if short >= bare && starts(short, b"-current") { short } else { end };
    for (from, to) in [(name, end), (bare, end), (bare, short)] {
        for at in 0..count {
            if same((*programs.add(at)).name, from, to) {
                return programs.add(at);
            }
        }
    }
    programs
}

/// Whether `word` is one of the words, which have one space between them.
unsafe fn lists(words: *const c_char, word: *const c_char) -> bool {
    let mut start = words;
    loop {
        let mut end = start;
        while byte(end) != 0 && byte(end) != b' ' {
            end = end.add(1);
        }
        if same(word, start, end) {
            return true;
        }
        if byte(end) == 0 {
            return false;
        }
        start = end.add(1);
    }
}

/// Whether the NUL-terminated `text` is what lies from `from` to `to`.
unsafe fn same(text: *const c_char, from: *const c_char, to: *const c_char) -> bool {
    let length = to.offset_from(from) as usize;
    for at in 0..length {
        if byte(text.add(at)) != byte(from.add(at)) || byte(text.add(at)) == 0 {
            return false;
        }
    }
    byte(text.add(length)) == 0
}

unsafe fn starts(text: *const c_char, with: &[u8]) -> bool {
    for (at, letter) in with.iter().enumerate() {
        if byte(text.add(at)) != *letter {
            return false;
        }
    }
    true
}

unsafe fn byte(at: *const c_char) -> u8 {
    at.read_volatile() as u8
}

#[inline(always)]
unsafe fn call(number: i64, words: [usize; 5]) -> isize {
    let result: isize;
    asm!(
        "syscall",
        inlateout("rax") number as isize => result,
        in("rdi") words[0], in("rsi") words[1], in("rdx") words[2], in("r10") words[3], in("r8") words[4],
        lateout("rcx") _, lateout("r11") _,
    );
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn found(called: &str) -> usize {
        let names = ["runc", "containerd-shim-runc-v2", "docker-proxy"].map(|name| CString::new(name).unwrap());
        let row = |name: &CString| {
            let (content, seal) = (std::ptr::null_mut(), std::ptr::null());
            Program { name: name.as_ptr(), main: name.as_ptr(), content, length: 0, kind: 0, seal }
        };
        let table: Vec<Program> = names.iter().map(row).collect();
        let called = CString::new(called).unwrap();
        unsafe { find(table.as_ptr(), table.len(), called.as_ptr()).offset_from(table.as_ptr()) as usize }
    }

    #[test]
    fn a_program_is_found_by_its_name_wherever_it_lies_and_under_historic_names() {
        for called in ["runc", "/usr/bin/runc", "docker-runc", "./docker-runc-current", "unknown", "", "-current"] {
            assert_eq!(found(called), 0, "{called}");
        }
        assert_eq!(found("/x/containerd-shim-runc-v2"), 1);
        assert_eq!(found("docker-containerd-shim-runc-v2"), 1);
        assert_eq!(found("docker-proxy"), 2);
        assert_eq!(found("docker-proxy-current"), 0);
        assert_eq!(found("docker-docker-proxy"), 2);
    }

    #[test]
    fn a_word_is_listed_only_as_a_whole() {
        let lists = |word: &str| {
            let word = CString::new(word).unwrap();
            unsafe { super::lists(c"create run exec".as_ptr(), word.as_ptr()) }
        };
        assert!(lists("create") && lists("run") && lists("exec"));
        assert!(!lists("") && !lists("ru") && !lists("runs") && !lists("create run"));
    }
}
