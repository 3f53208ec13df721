//! A slice of a large file, shown while the rest of it is read.
//!
//! Until all is read the scene is that of the image before. No frame of it is made meanwhile, which would take the slice away
//! again, and what is wished for waits: it is meant for the image that is on the screen.

use super::{Stale, Worker};
use crate::data::{Axis, First};
use crate::engine::files::OpenedFirst;
use crate::engine::mailbox::Letter;
use crate::engine::{CaseInfo, Early, Event, Request};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// What is shown of a file that is being read, and what waits for it.
#[derive(Default)]
pub(super) struct FirstShown {
    file: Option<PathBuf>,
    later: VecDeque<Letter>,
}

impl FirstShown {
    /// Whether a slice is shown.
    pub(super) fn is_shown(&self) -> bool {
        self.file.is_some()
    }

    /// What waited, once it need not any more.
    pub(super) fn due(&mut self) -> VecDeque<Letter> {
        if self.is_shown() { VecDeque::new() } else { std::mem::take(&mut self.later) }
    }
}

/// Whether a wish is about the image that is shown.
fn is_of_image(letter: &Letter) -> bool {
    matches!(
        letter,
        Letter::Request(
            Request::Slice(_)
                | Request::Axis(_)
                | Request::Region(_)
                | Request::Truth(_)
                | Request::Target(_)
                | Request::OpenTarget(_)
                | Request::LabelMap(_)
                | Request::CloseLabel
                | Request::Bounds(_)
                | Request::Unit(_)
                | Request::RunAttack
                | Request::Compare { .. }
                | Request::Export(_)
        )
    )
}

/// Whether a wish is served although the scene is not that of the image that is shown.
fn is_of_none(letter: &Letter) -> bool {
    matches!(
        letter,
        Letter::Opened(_)
            | Letter::First(_)
            | Letter::Request(
                Request::Open { .. }
                    | Request::OpenEntry { .. }
                    | Request::OpenSample
                    | Request::Generate(_)
                    | Request::OpenLabel(_)
                    | Request::CancelOpen
                    | Request::Attack(_)
                    | Request::Epsilon(_)
                    // They say which image they mean: the one that the scene is still of, or none.
                    | Request::Stimuli(_)
                    | Request::StudyImages(_)
            )
    )
}

impl Worker {
    /// The letter, unless it has to wait.
    pub(super) fn put_off(&mut self, letter: Letter) -> Option<Letter> {
        if !self.first.is_shown() || is_of_none(&letter) {
            return Some(letter);
        }
        if matches!(letter, Letter::Request(Request::Slice(_))) {
            // The last one counts.
            self.first.later.retain(|waiting| !matches!(waiting, Letter::Request(Request::Slice(_))));
        }
        self.first.later.push_back(letter);
        None
    }

    /// Shows a slice of the file that is being read.
    pub(super) fn show_first(&mut self, opened: OpenedFirst) {
        let OpenedFirst { ticket, first: First { stack, slice, slices } } = opened;
        let (Some(model), true) = (self.model.clone(), self.files.is_current(ticket)) else { return };
        let (path, axes, name) = (stack.path.clone(), stack.about.axes(), stack.name());
        let scene = self.new_scene(Arc::new(stack), name, None, 0);
        // What does not fit is said once all of it is read.
        let Ok(case) = scene.case(model.as_ref()) else { return };
        if self.first.file != path {
            self.first.later.retain(|letter| !is_of_image(letter));
        }
        self.first.file = path;
        self.early_shown = true;
        let planes = Axis::ALL.map(|axis| (axis, axis.title(axes))).to_vec();
        let info = CaseInfo { slice, slices, planes, ..scene.info(&case) };
        self.outbox.send(Event::Early(Arc::new(Early { part: true, ..Early::read(&case, info) })));
    }

    /// The file is read, or given up.
    pub(super) fn end_first(&mut self) {
        let Some(file) = self.first.file.take() else { return };
        if self.scene.as_ref().is_none_or(|scene| scene.stack.path.as_ref() != Some(&file)) {
            self.first.later.retain(|letter| !is_of_image(letter));
        }
    }

    /// Takes a slice off the screen whose file is not read on.
    pub(super) fn give_first_up(&mut self) {
        if self.first.is_shown() {
            self.end_first();
            if self.stale < Stale::Case {
                self.show_again();
            }
        }
    }
}
