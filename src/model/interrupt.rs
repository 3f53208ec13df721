//! Work that may be given up: a large network takes seconds to look at an image, and whoever waits may think better of it.

use super::ModelError;
use std::cell::RefCell;
use std::rc::Rc;

type GivenUp = Rc<dyn Fn() -> bool>;

thread_local! {
    static GIVEN_UP: RefCell<Option<GivenUp>> = const { RefCell::new(None) };
}

/// Takes the wish away again, also where `work` panicked.
struct Until(Option<GivenUp>);

impl Drop for Until {
    fn drop(&mut self) {
        GIVEN_UP.set(self.0.take());
    }
}

/// Runs `work`; networks that it runs on this thread end with [`ModelError::GivenUp`] at their next node once `given_up` says so.
pub fn interruptible<T>(given_up: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    let _until = Until(GIVEN_UP.replace(Some(Rc::new(given_up))));
    work()
}

/// Whether what this thread computes is still wanted.
///
/// # Errors
/// If it is not: see [`interruptible`].
pub fn check_wanted() -> Result<(), ModelError> {
    let given_up = GIVEN_UP.with_borrow(Clone::clone);
    if given_up.is_some_and(|given_up| given_up()) { Err(ModelError::GivenUp) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn work_is_given_up_only_inside_and_only_when_asked() {
        let asked = Rc::new(Cell::new(false));
        let ask = asked.clone();
        interruptible(
            move || ask.get(),
            || {
                assert!(check_wanted().is_ok());
                asked.set(true);
                assert!(matches!(check_wanted(), Err(ModelError::GivenUp)));
                interruptible(|| false, || assert!(check_wanted().is_ok()));
                assert!(check_wanted().is_err(), "the outer wish is back");
            },
        );
        assert!(check_wanted().is_ok());
    }
}
