//! Reading files on threads of their own, so that neither the window nor a tick waits for a disk or a decoder.

use super::mailbox::{Letter, Mailbox};
use super::panic_text;
use super::stacks::Stacks;
use crate::data::{self, DataError, Dataset, First, FirstWish, LabelStack, Sample, Stack};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What a file thread brings back.
pub(super) struct Opened {
    /// Which wish it answers: later wishes outdate earlier ones.
    pub ticket: u64,
    /// What was read.
    pub content: Result<Content, DataError>,
}

/// What there is of a file that is being read.
pub(super) struct OpenedFirst {
    /// Which wish it answers.
    pub ticket: u64,
    /// One slice.
    pub first: First,
}

/// A file thread's side of a wish.
pub(super) struct Reading {
    ticket: u64,
    mailbox: Arc<Mailbox>,
    /// Set once the wish is outdated.
    pub cancel: Arc<AtomicBool>,
}

impl Reading {
    /// Sends a slice of a file whose rest is still being read.
    fn show(&self, first: First) {
        self.mailbox.push(Letter::First(OpenedFirst { ticket: self.ticket, first }));
    }
}

/// What was read.
pub(super) enum Content {
    /// An image with its label if one was asked for.
    Image {
        /// The image.
        stack: Arc<Stack>,
        /// The label and the file that it came from.
        label: Option<(Arc<LabelStack>, Option<PathBuf>)>,
        /// Why the label that was asked for cannot be used.
        label_error: Option<DataError>,
        /// The slice to show.
        slice: usize,
        /// A short name.
        name: String,
        /// The data set that it is an entry of.
        set: Option<Arc<Dataset>>,
    },
    /// A data set, and which of its entries to show.
    Set(Arc<Dataset>, usize),
    /// A label for the present image.
    Label(Arc<LabelStack>, PathBuf),
    /// A mask that attacks are to reach.
    Target(Arc<LabelStack>),
}

/// Starts a thread at a time; a newer wish cancels an older one.
#[derive(Default)]
pub(super) struct Files {
    ticket: u64,
    /// An image is being read.
    image: bool,
    cancel: Arc<AtomicBool>,
}

impl Files {
    /// Whether `ticket` is that of the last wish.
    pub(super) fn is_current(&self, ticket: u64) -> bool {
        ticket == self.ticket
    }

    /// Outdates whatever is being read.
    pub(super) fn cancel(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.ticket += 1;
        self.image = false;
    }

    /// What was [started](Self::start) last is an image.
    pub(super) fn is_of_image(&mut self) {
        self.image = true;
    }

    /// Whether an image is being read.
    pub(super) fn reads_image(&self) -> bool {
        self.image
    }

    /// What was read last has come.
    pub(super) fn done(&mut self) {
        self.image = false;
    }

    /// Runs `read` on a thread of its own; its result comes as a letter.
    pub(super) fn start(
        &mut self,
        mailbox: &Arc<Mailbox>,
        path: &Path,
        read: impl FnOnce(&Reading) -> Result<Content, DataError> + Send + 'static,
    ) -> std::io::Result<()> {
        self.cancel();
        self.cancel = Arc::new(AtomicBool::new(false));
        let reading = Reading { ticket: self.ticket, mailbox: mailbox.clone(), cancel: self.cancel.clone() };
        let path = path.to_owned();
        std::thread::Builder::new().name("files".to_owned()).spawn(move || {
            let content = catch_unwind(AssertUnwindSafe(|| read(&reading)))
                .unwrap_or_else(|panic| Err(DataError::new(path, panic_text(panic.as_ref()), "")));
            reading.mailbox.push(Letter::Opened(Opened { ticket: reading.ticket, content }));
        })?;
        Ok(())
    }
}

/// Finds the data set in a folder.
fn find_set(
    folder: &Path,
    index: Option<usize>,
    cancel: &AtomicBool,
    progress: &mut (dyn FnMut(f32) + Send),
) -> Result<Content, DataError> {
    let progress = Mutex::new(progress);
    let tell = |share| {
        // Headers are read by several threads: one that another is just speaking for need not wait.
        if let Ok(mut progress) = progress.try_lock() {
            progress(share);
        }
    };
    let set = Dataset::find(folder, cancel, &tell)?;
    let count = set.entries.len();
    // A folder with one series is a volume.
    let one_volume = count > 1 && set.files() == 1 && set.entries.iter().all(|entry| entry.mask.is_none());
    let index = index.unwrap_or(if one_volume { count / 2 } else { 0 });
    if index >= count {
        let cause = format!("has {count} entries, and entry {index} was asked for");
        return Err(DataError::new(folder, cause, "Entries count from 0"));
    }
    Ok(Content::Set(Arc::new(set), index))
}

/// Reads an entry of a data set with its label.
pub(super) fn read_entry(
    set: &Arc<Dataset>,
    index: usize,
    stacks: &Stacks,
    reading: &Reading,
    progress: &mut dyn FnMut(f32),
) -> Result<Content, DataError> {
    let cancel = &reading.cancel;
    let slice = set.entries.get(index).map(|entry| entry.image.slice);
    let entry = set.open_entry_with(index, cancel, &mut |path| {
        stacks.open(path, cancel, progress, Some(FirstWish { slice, show: &mut |first| reading.show(first) }))
    })?;
    let file = set.entries[index].mask_file().map(Path::to_owned);
    let name = if entry.stack.slices == 1 { entry.name } else { entry.stack.name() };
    Ok(Content::Image {
        stack: entry.stack,
        label: entry.mask.map(|mask| (mask, file)),
        label_error: entry.mask_error,
        slice: entry.slice,
        name,
        set: Some(set.clone()),
    })
}

/// Reads an image and, if given, its label; or finds the data set in a folder.
pub(super) fn read_image(
    image: &Path,
    label: Option<&Path>,
    slice: Option<usize>,
    stacks: &Stacks,
    reading: &Reading,
    progress: &mut (dyn FnMut(f32) + Send),
) -> Result<Content, DataError> {
    let cancel = &reading.cancel;
    if image.is_dir() && label.is_none() {
        return find_set(image, slice, cancel, progress);
    }
    let wish = FirstWish { slice: slice.or(label.map(|_| 0)), show: &mut |first| reading.show(first) };
    let stack = stacks.open(image, cancel, progress, Some(wish))?;
    let slice = slice.unwrap_or(if label.is_none() && stack.is_volume() { stack.slices / 2 } else { 0 });
    if slice >= stack.slices {
        let cause = format!("has {} slices, and slice {slice} was asked for", stack.slices);
        return Err(DataError::new(image, cause, "Slices count from 0"));
    }
    // An image is worth showing without the label that does not go with it.
    let (label, label_error) = match label.map(|path| (path, open_label(path, &stack, cancel))) {
        Some((path, Ok(label))) => (Some((label, Some(path.to_owned()))), None),
        Some((_, Err(error))) if error.is_cancelled() => return Err(error),
        Some((_, Err(error))) => (None, Some(error)),
        None => (None, None),
    };
    let name = image.file_stem().map_or_else(|| "image".to_owned(), |n| n.to_string_lossy().into_owned());
    Ok(Content::Image { stack, label, label_error, slice, name, set: None })
}

/// Reads a label for `stack`.
pub(super) fn read_label(path: &Path, stack: &Stack, cancel: &AtomicBool) -> Result<Content, DataError> {
    Ok(Content::Label(open_label(path, stack, cancel)?, path.to_owned()))
}

/// Reads a mask of the size of `stack` that attacks are to reach.
pub(super) fn read_target(path: &Path, stack: &Stack, cancel: &AtomicBool) -> Result<Content, DataError> {
    Ok(Content::Target(open_label(path, stack, cancel)?))
}

fn open_label(path: &Path, stack: &Stack, cancel: &AtomicBool) -> Result<Arc<LabelStack>, DataError> {
    let label = LabelStack::open(path, cancel)?;
    label.check_fits(stack)?;
    Ok(Arc::new(label))
}

/// A sample that is made when it is asked for.
pub(super) fn generate(sample: Sample) -> Result<Content, DataError> {
    let (stack, label) = sample.generate()?;
    let slice = stack.slices / 2;
    let label = label.map(|label| (Arc::new(label), None));
    let (stack, name) = (Arc::new(stack), sample.name().to_owned());
    Ok(Content::Image { stack, label, label_error: None, slice, name, set: None })
}

/// The bundled sample: synthetic membranes with their exact mask.
pub(super) fn read_sample() -> Result<Content, DataError> {
    let (stack, label) = data::bundled_sample()?;
    let label = Some((Arc::new(label), None));
    let (stack, name) = (Arc::new(stack), data::BUNDLED_SAMPLE_NAME.to_owned());
    Ok(Content::Image { stack, label, label_error: None, slice: 0, name, set: None })
}
