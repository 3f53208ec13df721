//! The images of a campaign, read one after the other and never all held.

use crate::data::{Bounds, Case, DataError, Dataset, LabelMap, LabelStack, Stack};
use crate::model::Model;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A data set of a campaign.
#[derive(Clone, Debug)]
pub struct CampaignSet {
    /// For people and rows.
    pub name: String,
    /// Where the images are.
    pub set: Dataset,
    /// Which of its entries are attacked.
    pub entries: Vec<usize>,
    /// Bounds in place of those of the files.
    pub bounds: Option<Bounds>,
    /// What the values of masks mean, as text; guessed on the first mask where `None`.
    pub label_map: Option<String>,
}

/// An image that was read, with its mask before a map says what its values mean.
#[derive(Clone)]
pub struct Opened {
    /// The case, without its mask.
    pub case: Arc<Case>,
    /// The mask, with the slice that belongs to the case.
    pub mask: Option<(Arc<LabelStack>, usize)>,
    /// A fingerprint of pixels and label.
    pub id: String,
    /// Its patient or case, if the data set tells; else its volume, if it is a slice of one; else empty.
    pub group: String,
}

impl Opened {
    /// The case with its mask as `map` reads it.
    pub fn labelled(&self, map: Option<&LabelMap>) -> Arc<Case> {
        let mask = self.mask.as_ref().zip(map).and_then(|((label, slice), map)| label.mask(*slice, map));
        match mask.filter(|mask| !mask.is_all_ignored()) {
            Some(mask) => Arc::new(Case { label: Some(mask), ..(*self.case).clone() }),
            None => self.case.clone(),
        }
    }
}

/// The stack that was read last: the slices of a file follow one another.
#[derive(Default)]
pub(super) struct Reader {
    last: Option<Arc<Stack>>,
}

impl Reader {
    /// Reads entry `index` of `from`.
    pub fn open(&mut self, from: &CampaignSet, index: usize) -> Result<Opened, DataError> {
        let never = AtomicBool::new(false);
        let last = &mut self.last;
        let opened = from.set.open_entry_with(index, &never, &mut |path: &Path| {
            if let Some(stack) = last.as_ref().filter(|stack| stack.path.as_deref() == Some(path)) {
                return Ok(stack.clone());
            }
            let stack = Arc::new(crate::data::open(path, &never)?);
            *last = Some(stack.clone());
            Ok(stack)
        })?;
        if let Some(error) = opened.mask_error {
            return Err(error);
        }
        let stack = match from.bounds {
            Some(bounds) if bounds != opened.stack.bounds => opened.stack.with_bounds(bounds)?,
            _ => (*opened.stack).clone(),
        };
        let group = from.set.entries.get(index).map_or_else(String::new, |entry| match &entry.group {
            Some(group) => group.to_string(),
            // Slices of a file that has a class for each are images by themselves.
            None if stack.slices > 1 && entry.class.is_none() => {
                let file =
                    entry.image.file.strip_prefix(&from.set.path).ok().filter(|path| !path.as_os_str().is_empty());
                let name = file.map(|path| path.display().to_string());
                name.unwrap_or_else(|| from.set.name.clone())
            }
            None => String::new(),
        });
        let case = Case::from_slice(&stack, opened.slice, opened.name)?;
        let mut print = Fingerprint::default();
        case.image.pixels.iter().for_each(|v| print.add(&v.to_le_bytes()));
        if let Some(class) = &case.class {
            print.add(class.to_string().as_bytes());
        }
        if let Some(values) = opened.mask.as_ref().and_then(|mask| mask.slice_values(opened.slice)) {
            values.iter().for_each(|v| print.add(&v.to_le_bytes()));
        }
        let mask = opened.mask.map(|mask| (mask, opened.slice));
        Ok(Opened { case: Arc::new(case), mask, id: print.text(), group })
    }
}

/// FNV-1a, 64 bits: to tell files apart, not to guard them.
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Sixteen hexadecimal digits.
    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }

    /// That of a model and its card: of its file, if it has one, and of the other files that hold its weights.
    ///
    /// # Errors
    /// If one of them cannot be read; its name is in the message.
    pub fn of_model(model: &dyn Model) -> std::io::Result<String> {
        let mut print = Self::default();
        // The card is part of what a model is.
        print.add(format!("{:?}", model.card()).as_bytes());
        let facts = model.facts();
        for path in facts.path.into_iter().chain(facts.beside) {
            let named =
                |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            print.add(Self::of_file(&path).map_err(named)?.as_bytes());
        }
        Ok(print.text())
    }

    /// That of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path) -> std::io::Result<String> {
        let mut print = Self::default();
        let mut file = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
        loop {
            let part = file.fill_buf()?;
            if part.is_empty() {
                return Ok(print.text());
            }
            print.add(part);
            let read = part.len();
            file.consume(read);
        }
    }
}
