//! Model cards on the disk.

use super::{ModelCard, ModelError};
use crate::data::{DataError, write_bytes_atomic};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No card is longer.
const LONGEST_CARD: u64 = 16 << 20;

/// What would help where a card cannot be used.
const HINT: &str = "Correct it, or remove it: what can be is then guessed";

/// Which card a model is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardFrom<'a> {
    /// That beside the model (`<model>.toml`, its ending replaced, else `model.toml` in its folder); guessed if there is none.
    Beside,
    /// That, and guessed also where the one beside the model cannot be used: [`super::Facts::refused_card`] says why.
    BesideIfUsable,
    /// This file, whatever lies beside the model.
    File(&'a Path),
}

impl CardFrom<'_> {
    /// What `using` makes of the card of the model at `path`; `None` if it is to be guessed, and why the one that is there was not
    /// used.
    ///
    /// # Errors
    /// If the card cannot be read, understood or used; the message names its file.
    pub(super) fn used<T>(
        self,
        path: &Path,
        using: impl FnOnce(ModelCard) -> Result<T, ModelError>,
    ) -> Result<(Option<T>, Option<String>), ModelError> {
        let candidates: [PathBuf; 2] = [path.with_extension("toml"), path.with_file_name("model.toml")];
        let file = match self {
            Self::File(file) => Some(file.to_owned()),
            Self::Beside | Self::BesideIfUsable => candidates.into_iter().find(|file| file.exists()),
        };
        let Some(file) = file else { return Ok((None, None)) };
        let used = read(&file).and_then(|card| {
            using(card).map_err(|error| match error {
                ModelError::Card { cause, .. } => unusable(&file, &cause),
                other => other,
            })
        });
        match used {
            Ok(used) => Ok((Some(used), None)),
            Err(error @ ModelError::File { .. }) if self == Self::BesideIfUsable => Ok((None, Some(error.to_string()))),
            Err(error) => Err(error),
        }
    }
}

/// That the card in `file` cannot be used.
fn unusable(file: &Path, cause: &str) -> ModelError {
    ModelError::file(file, format!("the model card cannot be used: {cause}"), HINT)
}

/// Reads a card.
///
/// # Errors
/// If it cannot be read, understood or used.
pub fn read(path: &Path) -> Result<ModelCard, ModelError> {
    let unreadable = |e: std::io::Error| ModelError::file(path, format!("the model card cannot be read ({e})"), "");
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LONGEST_CARD).read_to_string(&mut text)).map_err(unreadable)?;
    let card = parse(path, &text)?;
    card.check().map_err(|cause| unusable(path, &cause))?;
    Ok(card)
}

/// The card that `text` is; `path` stands for it in messages.
pub(super) fn parse(path: &Path, text: &str) -> Result<ModelCard, ModelError> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let line = e.span().map_or(String::new(), |span| {
            format!(", line {}", 1 + text[..span.start.min(text.len())].bytes().filter(|b| *b == b'\n').count())
        });
        let cause = format!("the model card cannot be understood ({}{line})", e.message());
        ModelError::file(path, cause, HINT)
    })
}

/// Writes a card, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, card: &ModelCard) -> Result<(), ModelError> {
    let text = toml::to_string_pretty(card)
        .map_err(|e| ModelError::file(path, format!("the card cannot be encoded ({e})"), ""))?;
    write_bytes_atomic(path, text.as_bytes()).map_err(|DataError { path, cause, hint }| ModelError::File {
        path,
        cause,
        hint,
    })
}

/// The first bytes of a model's file.
///
/// # Errors
/// If it cannot be read or is no file.
pub(super) fn head(path: &Path) -> Result<Vec<u8>, ModelError> {
    let hint = "Open an .onnx, .safetensors, .bpk, .pt or .pth file";
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => ModelError::file(path, "does not exist", "Check the name and the folder"),
        _ => ModelError::file(path, format!("cannot be read ({e})"), hint),
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ModelError::file(path, "is not a file", hint));
    }
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(512).read_to_end(&mut head)).map_err(unreadable)?;
    if head.is_empty() {
        return Err(ModelError::file(path, "is empty", hint));
    }
    Ok(head)
}

/// As [`name`], after the folder for files that are called alike wherever they lie: `weights.onnx`.
pub(super) fn telling_name(path: &Path) -> String {
    let (own, folder) = (name(path), path.parent().and_then(Path::file_name));
    match folder.filter(|_| matches!(own.as_str(), "model" | "weights")) {
        Some(folder) => format!("{}/{own}", folder.to_string_lossy()),
        None => own,
    }
}

/// A model's short name, after its file.
pub(super) fn name(path: &Path) -> String {
    path.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
