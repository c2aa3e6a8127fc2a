//! A stack deep enough for the deepest text that the budgets let through, whatever thread
//! asks and however the parser was compiled.

use std::thread;

/// 128 levels need a fraction of this even without optimisation. It is address space, not
/// memory, until it is used.
const STACK: usize = 64 << 20;

/// Runs `work` on a deep stack and waits for it. `None` when no thread could be had.
pub fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("parse".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .ok()?;
        thread.join().ok()
    })
}
