//! Reading models on a thread of their own: a slow disk, or half a gigabyte of weights, holds neither the window nor a tick.

use super::interactive::DESCRIBED_SIZE;
use super::mailbox::{Letter, Mailbox};
use super::{Event, Outbox, panic_text};
use crate::model::{self, About, CardFrom, Model, Watch};
use burn::tensor::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A model that is ready to be used.
pub(super) struct Ready {
    pub model: Arc<dyn Model>,
    pub about: Arc<About>,
}

/// What the thread brings back.
pub(super) struct ModelRead {
    /// Which wish it answers: later wishes outdate earlier ones.
    pub ticket: u64,
    pub ready: Result<Ready, String>,
}

/// Starts a thread at a time; a newer wish cancels an older one.
#[derive(Default)]
pub(super) struct Models {
    ticket: u64,
    reading: bool,
    cancel: Arc<AtomicBool>,
}

impl Models {
    /// Outdates what is being read.
    pub(super) fn cancel(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.ticket += 1;
        self.reading = false;
    }

    /// Whether a model is being read.
    pub(super) fn reads(&self) -> bool {
        self.reading
    }

    /// Takes an answer: whether it is that of the last wish.
    pub(super) fn take(&mut self, ticket: u64) -> bool {
        let current = ticket == self.ticket;
        self.reading &= !current;
        current
    }

    /// Reads the model at `path` onto `device`; it comes as a letter, and its progress as events.
    pub(super) fn start(
        &mut self,
        mailbox: &Arc<Mailbox>,
        outbox: &Outbox,
        path: PathBuf,
        device: Device,
    ) -> std::io::Result<()> {
        self.cancel();
        self.cancel = Arc::new(AtomicBool::new(false));
        let (ticket, cancel, mailbox, outbox) = (self.ticket, self.cancel.clone(), mailbox.clone(), outbox.clone());
        outbox.send(Event::OpeningModel(path.clone()));
        std::thread::Builder::new().name("models".to_owned()).spawn(move || {
            let told = AtomicU32::new(0);
            let tell = |share: f32| {
                // A bar has a hundred places.
                let percent = (share * 100.0) as u32;
                if told.fetch_max(percent, Ordering::Relaxed) < percent && !cancel.load(Ordering::Relaxed) {
                    outbox.send(Event::ModelRead(share));
                }
            };
            let read = || {
                // A card that cannot be used is corrected in the window.
                let (card, watch) = (CardFrom::BesideIfUsable, Watch::new(&cancel, &tell));
                let model =
                    model::open_watched(&path, &device, card, watch).map_err(|e| model::shortened(&e.to_string()))?;
                let about = Arc::new(model.about(DESCRIBED_SIZE));
                Ok(Ready { model, about })
            };
            let ready = catch_unwind(AssertUnwindSafe(read))
                .unwrap_or_else(|panic| Err(format!("{}: {}", path.display(), panic_text(panic.as_ref()))));
            mailbox.push(Letter::Model(ModelRead { ticket, ready }));
        })?;
        self.reading = true;
        Ok(())
    }
}
