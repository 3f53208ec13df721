//! A file is written whole or not at all, and what cannot be written is named.

use crate::bad_input::assert_says;
use epsiloscope::data::{write_atomic, write_bytes_atomic};
use std::io::{self, Write};
use std::path::Path;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve.csv");
    write_bytes_atomic(&path, b"old").unwrap();
    let error = write_atomic(&path, |file| {
        file.write_all(b"half of the new")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    assert_says(&error.unwrap_err().to_string(), &["curve.csv", "could not be written", "space"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["curve.csv"]);
    write_bytes_atomic(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["curve.csv"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = |path: &Path| write_bytes_atomic(path, b"x").unwrap_err().to_string();
    assert_says(&error(&folder.path().join("none/curve.csv")), &["curve.csv", "does not exist", "Choose a folder"]);
    assert_says(&error(&file.join("curve.csv")), &["curve.csv", "not a folder"]);
    assert_says(&error(folder.path()), &["is a folder"]);
    if Path::new("/dev/null").exists() {
        assert_says(&error(Path::new("/dev/null")), &["not a regular file"]);
    }
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&file, permissions).unwrap();
    assert_says(&error(&file), &["read-only"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
}

#[cfg(unix)]
#[test]
fn folders_without_the_right_to_write_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::File::create(folder.path().join("probe")).is_ok() {
        println!("skipped: this user may write everywhere");
        return;
    }
    let error = write_bytes_atomic(&folder.path().join("a.csv"), b"x").unwrap_err().to_string();
    assert_says(&error, &["a.csv", "not writable"]);
    assert!(names(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn written_files_keep_links_and_rights() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
    std::fs::write(&target, b"old").unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    write_bytes_atomic(&link, b"new").unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read(&target).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    let fresh = folder.path().join("fresh");
    write_bytes_atomic(&fresh, b"x").unwrap();
    std::fs::write(folder.path().join("plain"), b"x").unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("fresh"), mode("plain"));
}
