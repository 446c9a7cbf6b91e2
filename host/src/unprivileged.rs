//! Sealing the executable without root's rights, where seal.rs found no right to clone a mount: a child in namespaces
//! of its own makes the read-only mount; without those, memory holds the copy. Runs after libc's start, before the
//! engine is woken.

use crate::{seal, Start};
use alloc::vec::Vec;
use core::ffi::{c_char, c_int, CStr};

const OWN: &CStr = c"/proc/self/exe";
const SEALS: c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
const COPY_CHUNK: usize = 1 << 24;
/// The largest number that an exit code carries.
const EXIT_CODE_MOST: c_int = 255;

/// Returns when the executable is out of reach already, or when no copy could be made: then the program itself decides
/// what that means.
///
/// # Safety
/// Nothing may be open or allocated that the program still needs: on success the process image is replaced.
pub unsafe fn seal(start: &Start) {
    let mut place: libc::statvfs = core::mem::zeroed();
    if libc::statvfs(OWN.as_ptr(), &mut place) != 0 || place.f_flag & libc::ST_RDONLY != 0 {
        return;
    }
    if is_sealed_memory() {
        return;
    }
    let mut copy = mount_by_child();
    if copy < 0 {
        copy = sealed_memory();
    }
    if copy >= 0 {
        let end = |list: &[*const c_char]| list.iter().copied().chain([core::ptr::null()]).collect::<Vec<_>>();
        let (arguments, environment) = (end(&start.arguments), end(&start.environment));
        let (argv, envp) = (arguments.as_ptr(), environment.as_ptr());
        libc::syscall(libc::SYS_execveat, copy, c"".as_ptr(), argv, envp, libc::AT_EMPTY_PATH);
    }
    libc::close(copy);
}

/// An unprivileged process has that right in a mount namespace of a user namespace of its own. A child makes both and
/// ends; the descriptor stays, because they share one table, and its number is the exit code.
unsafe fn mount_by_child() -> c_int {
    let mut path = [0u8; libc::PATH_MAX as usize];
    let length = libc::readlink(OWN.as_ptr(), path.as_mut_ptr().cast(), path.len() - 1);
    if length <= 0 {
        return -1;
    }
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_FILES | libc::CLONE_VFORK | libc::SIGCHLD;
    let child = libc::syscall(libc::SYS_clone, flags as libc::c_long, 0, 0, 0, 0) as libc::pid_t;
    if child == 0 {
        // The link leads into the mount namespace that was left, so the file is looked up again: it must be the same.
        let found = libc::open(path.as_ptr().cast(), libc::O_PATH | libc::O_CLOEXEC);
        let (mut ours, mut theirs): (libc::stat, libc::stat) = (core::mem::zeroed(), core::mem::zeroed());
        let known = libc::stat(OWN.as_ptr(), &mut ours) == 0 && libc::fstat(found, &mut theirs) == 0;
        let same = known && (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino);
        let of = (found, c"".as_ptr() as usize, libc::AT_EMPTY_PATH);
        let copy = if same { seal::read_only_mount(of.0, of.1, of.2) as c_int } else { -1 };
        libc::close(found);
        libc::_exit(if (1..=EXIT_CODE_MOST).contains(&copy) { copy } else { 0 });
    }
    let mut status = 0;
    while child > 0 && libc::waitpid(child, &mut status, 0) < 0 {
        if *libc::__errno_location() != libc::EINTR {
            return -1;
        }
    }
    match child > 0 && libc::WIFEXITED(status) {
        true if libc::WEXITSTATUS(status) > 0 => libc::WEXITSTATUS(status),
        _ => -1,
    }
}

unsafe fn is_sealed_memory() -> bool {
    let own = libc::open(OWN.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
    let seals = libc::fcntl(own, libc::F_GET_SEALS);
    libc::close(own);
    seals >= 0 && seals & SEALS == SEALS
}

/// A copy in memory that nobody can change any more; costs the executable's size for as long as it runs.
unsafe fn sealed_memory() -> c_int {
    let own = libc::open(OWN.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // A kernel before 6.3 does not know the word for "may be executed", and needs none.
    let mut copy = libc::memfd_create(c"runtime".as_ptr(), flags | libc::MFD_EXEC);
    if copy < 0 {
        copy = libc::memfd_create(c"runtime".as_ptr(), flags);
    }
    let mut put = 1;
    while put > 0 {
        put = libc::sendfile(copy, own, core::ptr::null_mut(), COPY_CHUNK);
    }
    let sealed = put == 0 && libc::fcntl(copy, libc::F_ADD_SEALS, SEALS) == 0;
    libc::close(own);
    if sealed {
        return copy;
    }
    libc::close(copy);
    -1
}
