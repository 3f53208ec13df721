//! A study on disk: a file of one JSON object a line, that only grows. Each answer is there before the next trial is shown.
//!
//! The first line holds plan and display, each further one an answer or a break. What comes next follows from the plan and the
//! answers, so that nothing else needs to be kept, and a file that was cut off goes on where it ends.

use super::{Answer, Answered, Display, Identity, Next, Plan, Presented, Procedure};
use crate::attack::Attack;
use crate::data::DataError;
use crate::study::report::utc_now;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Version of the file: from 3 on a plan may name its ε, and answers the ε that was shown; from 4 on conditions may be of several
/// images.
const FORMAT: u32 = 4;
/// The oldest version that is read.
const OLDEST_FORMAT: u32 = 2;
/// A session file larger than this is none: an answer takes some 200 bytes.
const MOST_BYTES: u64 = 64 << 20;

/// What a session begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file.
    format: u32,
    /// The observer's name, if one was typed.
    pub observer: Option<String>,
    /// When it began, UTC.
    pub started: String,
    /// What is shown.
    pub plan: Plan,
    /// On what.
    pub display: Display,
    /// What the images are made of, where they are made while the study runs.
    #[serde(default)]
    pub stimuli: Option<Stimuli>,
}

/// What the images of a study are made of: enough to make them again when it is resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stimuli {
    /// The slice of the image, from 0.
    pub slice: usize,
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// The model that the attacks ask.
    pub model: String,
    /// The attack of each of the plan's conditions, with its parameters.
    pub attacks: Vec<Attack>,
    /// Of a study over several images of a data set that of each condition; empty: all are of the one image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<StimulusImage>,
    /// What the one image is, and what is chosen of it; nothing is told where there are several, and in older sessions.
    #[serde(default, skip_serializing_if = "Identity::is_empty")]
    pub identity: Identity,
}

/// An image of a data set that a study shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StimulusImage {
    /// The entry's name in the data set.
    pub entry: String,
    /// The slice of its file, from 0.
    pub slice: usize,
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// What it is; not told in older sessions.
    #[serde(default, skip_serializing_if = "Identity::is_empty")]
    pub identity: Identity,
}

impl Stimuli {
    /// Slice and shape of what `condition` shows.
    pub fn image(&self, condition: usize) -> (usize, [usize; 3]) {
        self.images.get(condition).map_or((self.slice, self.shape), |image| (image.slice, image.shape))
    }

    /// What `condition` shows, as far as the session tells.
    pub fn identity(&self, condition: usize) -> &Identity {
        self.images.get(condition).map_or(&self.identity, |image| &image.identity)
    }
}

/// A line after the first.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Answer(Answered),
    Break { after: usize },
}

/// Why a session cannot begin, go on, or take an answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file.
    #[error(transparent)]
    File(#[from] DataError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] super::PlanError),
    /// The answer.
    #[error(transparent)]
    Answer(#[from] super::ProcedureError),
}

/// A study of one observer, kept in a file.
pub struct Session {
    header: Header,
    procedure: Procedure,
    path: PathBuf,
    file: File,
    /// Whole lines, in bytes.
    length: u64,
}

impl Session {
    /// Begins a session in a new file.
    ///
    /// # Errors
    /// If the plan cannot be carried out, or the file exists or cannot be written.
    pub fn create(path: &Path, plan: Plan, display: Display, observer: Option<String>) -> Result<Self, SessionError> {
        Self::create_with(path, plan, display, observer, None)
    }

    /// [`Self::create`] with what the images are made of.
    ///
    /// # Errors
    /// As there.
    pub fn create_with(
        path: &Path,
        plan: Plan,
        display: Display,
        observer: Option<String>,
        stimuli: Option<Stimuli>,
    ) -> Result<Self, SessionError> {
        let procedure = Procedure::new(plan.clone())?;
        let observer = observer.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let header = Header { format: FORMAT, observer, started: utc_now(), plan, display, stimuli };
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                DataError::new(path, "exists", "Resume that session, or choose another name for a new one")
            }
            _ => unwritable(path, &error),
        })?;
        lock(path, &file)?;
        let mut session = Self { header, procedure, path: path.to_owned(), file, length: 0 };
        let first = serde_json::to_vec(&session.header).map_err(|e| unwritable(path, &e.into()))?;
        session.append(first)?;
        sync_folder(path);
        Ok(session)
    }

    /// Goes on with a session, and says what was dropped: a last line that was not written to its end.
    ///
    /// # Errors
    /// If the file cannot be read or written, is no session, or holds answers to other trials than its plan gives.
    pub fn resume(path: &Path) -> Result<(Self, Option<String>), SessionError> {
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| unreadable(path, &e))?;
        lock(path, &file)?;
        let (header, procedure, length, note) = read(path, &mut file)?;
        let mut session = Self { header, procedure, path: path.to_owned(), file, length };
        if note.is_some() {
            session.cut_back().map_err(|e| unwritable(path, &e))?;
        }
        Ok((session, note))
    }

    /// Reads a session without going on with it; the file stays as it is.
    ///
    /// # Errors
    /// As [`Self::resume`], but that the file need not be writable.
    pub fn read(path: &Path) -> Result<(Header, Vec<Answered>, Option<String>), SessionError> {
        let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
        let (header, procedure, _, note) = read(path, &mut file)?;
        Ok((header, procedure.answered().to_vec(), note))
    }

    /// What it began with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The study so far.
    pub fn procedure(&self) -> &Procedure {
        &self.procedure
    }

    /// What comes next.
    pub fn next(&self) -> Next {
        self.procedure.next()
    }

    /// Takes the answer to the trial that is next. When this returns, the answer is on the disk.
    ///
    /// # Errors
    /// If no trial is next, the answer is to another question, or the file cannot be written: then the answer is not taken,
    /// and can be given again.
    pub fn answer(&mut self, answer: Answer, seconds: f64) -> Result<Answered, SessionError> {
        self.answer_presented(answer, seconds, None)
    }

    /// [`Self::answer`] with how the images really were shown.
    ///
    /// # Errors
    /// As there.
    pub fn answer_presented(
        &mut self,
        answer: Answer,
        seconds: f64,
        presented: Option<Presented>,
    ) -> Result<Answered, SessionError> {
        let mut ahead = self.procedure.clone();
        let answered = ahead.answer_presented(answer, seconds, presented)?;
        self.line(&Line::Answer(answered))?;
        self.procedure = ahead;
        Ok(answered)
    }

    /// The break is over.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn rested(&mut self) -> Result<(), SessionError> {
        if matches!(self.next(), Next::Break { .. }) {
            self.line(&Line::Break { after: self.procedure.answered().len() })?;
            self.procedure.rested();
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Result<(), SessionError> {
        let bytes = serde_json::to_vec(line).map_err(|e| unwritable(&self.path, &e.into()))?;
        self.append(bytes)
    }

    fn append(&mut self, mut bytes: Vec<u8>) -> Result<(), SessionError> {
        bytes.push(b'\n');
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&bytes));
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // Half a line must not stay before the next whole one.
            let _ = self.cut_back();
            return Err(unwritable(&self.path, &error).into());
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()
    }
}

/// Header, the study so far, bytes of whole lines, and what was left out.
fn read(path: &Path, file: &mut File) -> Result<(Header, Procedure, u64, Option<String>), SessionError> {
    let size = file.metadata().map_err(|e| unreadable(path, &e))?.len();
    if size > MOST_BYTES {
        return Err(foreign(path, "is larger than any session").into());
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    // What follows the last line's end was cut off while it was written.
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let mut lines = bytes[..whole].split_inclusive(|&b| b == b'\n');
    let first = lines.next().ok_or_else(|| foreign(path, "holds no session"))?;
    let stranger = |_| foreign(path, "does not begin as a session does");
    let value: serde_json::Value = serde_json::from_slice(first).map_err(stranger)?;
    if let Some(format) = value
        .get("format")
        .and_then(serde_json::Value::as_u64)
        .filter(|f| !(u64::from(OLDEST_FORMAT)..=u64::from(FORMAT)).contains(f))
    {
        let cause = format!("is a session of format {format}, this program reads {OLDEST_FORMAT} to {FORMAT}");
        return Err(DataError::new(path, cause, "Open it with the version that wrote it").into());
    }
    let header: Header = serde_json::from_value(value).map_err(stranger)?;
    let mut procedure = Procedure::new(header.plan.clone())?;
    for (at, line) in lines.enumerate() {
        let fits = match serde_json::from_slice(line) {
            Ok(Line::Answer(answered)) => procedure.replay(&answered),
            Ok(Line::Break { after }) => {
                let due = after == procedure.answered().len() && matches!(procedure.next(), Next::Break { .. });
                procedure.rested();
                due
            }
            Err(_) => false,
        };
        if !fits {
            let cause =
                format!("line {} is not what its plan gives there: it was changed by hand, or is damaged", at + 2);
            return Err(DataError::new(path, cause, "Restore it from a copy, or begin a new session").into());
        }
    }
    let torn = bytes.len() - whole;
    let note = (torn > 0).then(|| {
        format!("the last line was not written to its end ({torn} bytes) and is dropped; its trial comes again")
    });
    Ok((header, procedure, whole as u64, note))
}

/// Two windows must not write into one session. A file system without locks is taken as it is.
fn lock(path: &Path, file: &File) -> Result<(), DataError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(DataError::new(path, "is open already, here or in another window", "End that session first"))
        }
        _ => Ok(()),
    }
}

/// Makes the new name itself last; where that cannot be done the file has its answers all the same.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn foreign(path: &Path, cause: &str) -> DataError {
    DataError::new(path, cause, "Choose a file that a reader study of this program wrote")
}

fn unreadable(path: &Path, error: &io::Error) -> DataError {
    DataError::new(path, format!("cannot be read ({error})"), "")
}

fn unwritable(path: &Path, error: &io::Error) -> DataError {
    DataError::new(
        path,
        format!("cannot be written ({error})"),
        "Choose a folder that exists and that you may write to",
    )
}
