//! Model cards on the disk.

use super::{ModelCard, ModelError};
use crate::data::{DataError, write_bytes_atomic};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No card is longer.
const LONGEST_CARD: u64 = 16 << 20;

/// The card of the model at `path`: `<path>.toml` (its ending replaced), else `model.toml` in its folder.
///
/// # Errors
/// If there is one that cannot be read, understood or used.
pub(super) fn find(path: &Path) -> Result<Option<ModelCard>, ModelError> {
    let candidates: [PathBuf; 2] = [path.with_extension("toml"), path.with_file_name("model.toml")];
    let Some(file) = candidates.into_iter().find(|file| file.exists()) else { return Ok(None) };
    read(&file).map(Some)
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
    card.check().map_err(|cause| {
        ModelError::file(
            path,
            format!("the model card cannot be used: {cause}"),
            "Correct it, or remove it: what can be is then guessed",
        )
    })?;
    Ok(card)
}

/// The card that `text` is; `path` stands for it in messages.
pub(super) fn parse(path: &Path, text: &str) -> Result<ModelCard, ModelError> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let line = e.span().map_or(String::new(), |span| {
            format!(", line {}", 1 + text[..span.start.min(text.len())].bytes().filter(|b| *b == b'\n').count())
        });
        let cause = format!("the model card cannot be understood ({}{line})", e.message());
        ModelError::file(path, cause, "Correct it, or remove it: what can be is then guessed")
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
