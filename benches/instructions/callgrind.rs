//! What the watched process says to callgrind: instructions that mean nothing, which valgrind looks out for (`valgrind.h`).

#![allow(unsafe_code)]

use std::ffi::CString;
use std::sync::Mutex;

/// Requests of `callgrind.h`, whose numbers begin with the letters C and T.
const FIRST: usize = 0x4354_0000;
const ZERO: usize = FIRST + 1;
const DUMP_AT: usize = FIRST + 3;
const START: usize = FIRST + 4;
const STOP: usize = FIRST + 5;

/// The name under which the next work is counted; not at all while it has none.
static NAME: Mutex<Option<String>> = Mutex::new(None);

/// Names what is counted from here on.
pub fn name(name: Option<&str>) {
    *NAME.lock().unwrap() = name.map(str::to_owned);
}

/// Runs `work`; callgrind counts its instructions.
pub fn counted(work: &mut dyn FnMut()) {
    let Some(name) = NAME.lock().unwrap().clone() else { return work() };
    let name = CString::new(name).unwrap();
    request(START, 0);
    request(ZERO, 0);
    work();
    request(DUMP_AT, name.as_ptr() as usize);
    request(STOP, 0);
}

/// Does nothing where valgrind is not watching.
fn request(number: usize, argument: usize) {
    let request = [number, argument, 0, 0, 0, 0];
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the sequence leaves all registers as they were, but for the answer in rdx.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") request.as_ptr(),
            inout("rdx") 0usize => _,
            inout("rdi") 0usize => _,
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = request;
}
