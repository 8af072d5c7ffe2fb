//! Panics of tasks, which are results of theirs and not news for the terminal.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// The panic of the task that this thread runs; `None` while it runs none.
    static PANIC: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// What a panic said, and where: `file:line:column`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panicked {
    pub(crate) message: String,
    pub(crate) place: String,
}

/// Does `work`; its panic, if it panics. A panic in another thread that it starts prints as ever.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, Panicked> {
    keep();
    PANIC.set(Some(Panicked::default()));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    let panicked = PANIC.take();
    result.map_err(|thrown| {
        // Dropping what was thrown might panic again.
        std::mem::forget(thrown);
        panicked.unwrap_or_default()
    })
}

/// Keeps what the panic of a task says.
fn keep() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // At the end of the process it is gone, and no task runs.
            let kept = PANIC.try_with(|panic| match &mut *panic.borrow_mut() {
                Some(panic) => {
                    let payload = info.payload();
                    let message = payload
                        .downcast_ref::<&str>()
                        .copied()
                        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                        .unwrap_or("a value that is no text");
                    let place = info.location().map(ToString::to_string).unwrap_or_default();
                    *panic = Panicked { message: message.to_string(), place };
                    true
                }
                None => false,
            });
            if !kept.unwrap_or(false) {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_what_it_said_and_where() {
        assert_eq!(caught(|| 7).unwrap(), 7);
        let panicked = caught(|| panic!("a panic that the test expects")).unwrap_err();
        assert_eq!(panicked.message, "a panic that the test expects");
        assert!(panicked.place.contains("panic.rs:"), "{}", panicked.place);
        let other = caught(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(other.message, "a value that is no text");
    }
}
