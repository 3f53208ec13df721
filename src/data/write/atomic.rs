//! Writing files whole or not at all. Everything that the program writes goes through [`write_atomic`].

use crate::data::DataError;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes `path` whole or not at all: `write` fills a temporary file in the same folder, which then takes the
/// place of `path`. If anything fails, an existing file stays as it was and nothing new is left behind. The folder must exist.
///
/// ```no_run
/// # use epsiloscope::data::write_atomic;
/// # use std::io::Write;
/// write_atomic("curve.csv".as_ref(), |file| writeln!(file, "attack,epsilon"))?;
/// # Ok::<(), epsiloscope::data::DataError>(())
/// ```
///
/// # Errors
/// If the folder is missing or not writable, `path` is a folder, a device or a read-only file, or `write` fails (an
/// error that is not of input or output fits into [`io::Error::other`]).
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), DataError> {
    // A link keeps pointing where it points: its target is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let existing = existing_file(path, &target)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    // Temporary files are private by default; a document gets what the user's umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(&folder).map_err(|error| folder_error(path, &folder, &error))?;
    let mut buffered = BufWriter::new(temporary.as_file_mut());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(|error| write_error(path, &error))?;
    drop(buffered);
    // A name must not point at content that a loss of power would take away.
    temporary.as_file().sync_all().map_err(|error| write_error(path, &error))?;
    if let Some(metadata) = existing {
        // Best effort: the content matters more than the mode of the file that it replaces.
        let _ = fs::set_permissions(temporary.path(), metadata.permissions());
    }
    temporary.persist(&target).map_err(|error| write_error(path, &error.error))?;
    Ok(())
}

/// Writes `bytes` to `path` whole or not at all; see [`write_atomic`].
///
/// # Errors
/// As [`write_atomic`].
pub fn write_bytes_atomic(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// The file that would be replaced, or an error if it must not be.
fn existing_file(path: &Path, target: &Path) -> Result<Option<Metadata>, DataError> {
    let Ok(metadata) = fs::metadata(target) else { return Ok(None) };
    if metadata.is_dir() {
        return Err(DataError::new(path, "is a folder", "Choose a file name in it"));
    }
    if !metadata.is_file() {
        return Err(DataError::new(path, "is not a regular file", "Choose the name of a file"));
    }
    if metadata.permissions().readonly() {
        return Err(DataError::new(path, "the file is read-only", "Choose another name, or make it writable"));
    }
    Ok(Some(metadata))
}

fn folder_error(path: &Path, folder: &Path, error: &io::Error) -> DataError {
    let hint = "Choose a folder that exists and that you may write to";
    let folder_name = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            DataError::new(path, format!("cannot be written: the folder {folder_name} does not exist"), hint)
        }
        io::ErrorKind::NotADirectory => {
            DataError::new(path, format!("cannot be written: {folder_name} is not a folder"), hint)
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DataError::new(path, format!("cannot be written: the folder {folder_name} is not writable"), hint)
        }
        _ => DataError::new(path, format!("cannot be written in {folder_name}: {error}"), hint),
    }
}

fn write_error(path: &Path, error: &io::Error) -> DataError {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some space, or choose another folder",
        _ => "",
    };
    DataError::new(path, format!("could not be written: {error}"), hint)
}
