//! The interactive lane's letter box: in order, but where only the last wish of a kind matters it replaces the ones
//! before it that were not read yet.

use super::Request;
use super::files::{Opened, OpenedFirst};
use super::models::ModelRead;
use std::collections::VecDeque;
use std::mem::discriminant;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What the interactive worker reads.
pub(super) enum Letter {
    /// From the window.
    Request(Request),
    /// From a thread that read a file.
    Opened(Opened),
    /// From a thread that is reading a large file.
    First(OpenedFirst),
    /// From a thread that read a model.
    Model(ModelRead),
}

impl Letter {
    /// What it asks for, for people.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Opened(_) | Self::First(_) => "Open image",
            Self::Model(_) => "Open model",
            Self::Request(request) => request.title(),
        }
    }
}

#[derive(Default)]
struct State {
    letters: VecDeque<Letter>,
    closed: bool,
    /// The attack that is running is to stop with what it has.
    stop: bool,
}

/// Shared by the window, the file threads and the worker.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    arrived: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave a queue half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, letter: Letter) {
        let mut state = self.lock();
        if let Letter::Request(new) = &letter
            && matches!(
                new,
                Request::Epsilon(_)
                    | Request::Slice(_)
                    | Request::OpenEntry { .. }
                    | Request::Attack(_)
                    | Request::Bounds(_)
                    | Request::Region(_)
                    | Request::Truth(_)
                    | Request::Target(_)
                    | Request::Card { .. }
            )
        {
            state.letters.retain(|old| !matches!(old, Letter::Request(r) if discriminant(r) == discriminant(new)));
        }
        if matches!(&letter, Letter::Request(new) if new.outdates_model()) {
            state.letters.retain(|old| !matches!(old, Letter::Model(_)));
        }
        state.letters.push_back(letter);
        self.arrived.notify_one();
    }

    /// Everything that has arrived, waiting for at least one letter; `None` once closed.
    pub(super) fn take(&self) -> Option<VecDeque<Letter>> {
        let mut state = self.lock();
        while state.letters.is_empty() && !state.closed {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed { None } else { Some(std::mem::take(&mut state.letters)) }
    }

    /// Whether something waits to be read.
    pub(super) fn is_waiting(&self) -> bool {
        !self.lock().letters.is_empty()
    }

    /// Whether something waits to be read that `matters`, or all is to end.
    pub(super) fn is_waiting_for(&self, matters: impl Fn(&Request) -> bool) -> bool {
        let state = self.lock();
        let matters = |letter: &Letter| match letter {
            Letter::Request(request) => matters(request),
            Letter::Opened(_) | Letter::First(_) | Letter::Model(_) => true,
        };
        state.closed || state.letters.iter().any(matters)
    }

    /// Whether nobody waits any more for the model that is being tried: another one is wished for, or none.
    pub(super) fn model_is_outdated(&self) -> bool {
        let state = self.lock();
        let outdates = |letter: &Letter| matches!(letter, Letter::Request(request) if request.outdates_model());
        state.closed || state.letters.iter().any(outdates)
    }

    /// The attack that is running is to stop with what it has.
    pub(super) fn stop_attack(&self) {
        self.lock().stop = true;
    }

    /// Whether that was wished for, once.
    pub(super) fn take_stop(&self) -> bool {
        std::mem::take(&mut self.lock().stop)
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_epsilon_replaces_an_unread_one_and_nothing_else() {
        let mailbox = Mailbox::default();
        for request in [
            Request::Epsilon(0.1),
            Request::CloseLabel,
            Request::Slice(3),
            Request::Epsilon(0.2),
            Request::CloseLabel,
            Request::Slice(4),
        ] {
            mailbox.push(Letter::Request(request));
        }
        let read: Vec<String> = mailbox
            .take()
            .unwrap()
            .into_iter()
            .map(|l| match l {
                Letter::Request(r) => format!("{r:?}"),
                Letter::Opened(_) | Letter::First(_) | Letter::Model(_) => unreachable!(),
            })
            .collect();
        assert_eq!(read, ["CloseLabel", "Epsilon(0.2)", "CloseLabel", "Slice(4)"]);
        mailbox.close();
        assert!(mailbox.take().is_none());
    }
}
