//! System calls, by number.
#![expect(unsafe_code, reason = "attempts are made on the kernel itself")]

use std::ffi::CString;

/// The working directory, as an argument.
pub(crate) const HERE: usize = (libc::AT_FDCWD as isize).cast_unsigned();

/// Makes a system call. Every attempt that passes a pointer passes one that is valid, or one that
/// the kernel is to find invalid.
pub(crate) fn call(number: libc::c_long, args: &[usize]) -> Result<usize, i32> {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: see above; this process has one thread and ends after one attempt.
    let result = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    usize::try_from(result)
        .map_err(|_negative| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// The address of a value, for the kernel.
pub(crate) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).expose_provenance()
}

/// A string that stays where it is, for the kernel.
pub(crate) fn text(text: &str) -> usize {
    let text = CString::new(text).unwrap_or_default();
    text.into_raw().expose_provenance()
}

/// `getpid` by the door of i386.
#[cfg(target_arch = "x86_64")]
pub(crate) fn i386_getpid() -> i64 {
    let mut result: i64 = 20;
    // SAFETY: the call takes nothing and writes nothing but `rax`; the old door leaves r8 to r11
    // undefined.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn i386_getpid() -> i64 {
    -1
}

/// Forks; the child does `work` and ends. The answer is its process id.
pub(crate) fn fork(work: impl FnOnce()) -> Result<i32, i32> {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            work();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) }
        }
        pid if pid > 0 => Ok(pid),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}
