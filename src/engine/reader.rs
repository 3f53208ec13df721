//! Reader studies: a thread that keeps the session on disk and finds the next trial.

use super::{Event, Outbox, Problem, panic_text};
use crate::data::write_bytes_atomic;
use crate::observer::{
    Answer, Answered, Display, Header, Kind, Measured, Next, Plan, Presented, Session, Stimuli, Thresholds, export_csv,
    read_thresholds, rows_of, thresholds,
};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What a session file ends with.
pub const SESSION_ENDING: &str = "session";

/// A wish about a reader study.
#[derive(Clone, Debug)]
pub enum ReaderRequest {
    /// Begin a session in a new file of `folder`.
    Begin {
        /// Where; made if it is not there.
        folder: PathBuf,
        /// What is asked.
        plan: Box<Plan>,
        /// On which screen.
        display: Display,
        /// The observer's name or pseudonym, if one was typed.
        observer: Option<String>,
        /// What the images are made of.
        stimuli: Box<Stimuli>,
    },
    /// Go on with a session.
    Resume(PathBuf),
    /// The answer to the trial that is next.
    Answer {
        /// The answer.
        answer: Answer,
        /// Seconds from the images to it.
        seconds: f64,
        /// How the images really were shown.
        presented: Presented,
    },
    /// The break is over.
    Rested,
    /// Close the session; its file stays.
    Close,
    /// Tell the sessions of a folder.
    List(PathBuf),
    /// Read thresholds from a table of them, or of trials, which are fitted.
    Thresholds(PathBuf),
    /// Write the trials of all sessions of a folder as one table.
    Export {
        /// Where the sessions are.
        folder: PathBuf,
        /// The table.
        table: PathBuf,
    },
}

/// A session as it is now. Every answer is on disk.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The file.
    pub path: PathBuf,
    /// What it began with.
    pub header: Header,
    /// What comes next.
    pub next: Next,
    /// Trials done and in all, practice left out.
    pub progress: (usize, usize),
    /// The newest answer.
    pub last: Option<Answered>,
    /// Something to be told: what was dropped of a damaged file.
    pub note: Option<String>,
    /// What the answers say, once all are given.
    pub result: Option<SessionResult>,
}

/// What a finished session says.
#[derive(Clone, Debug)]
pub struct SessionResult {
    /// A threshold for each condition, or why there is none.
    pub thresholds: Result<Vec<Thresholds>, String>,
    /// Refreshes of the screen that were missed while images were shown, and trials with such.
    pub dropped: [u32; 2],
    /// Answers that came too soon to be any to the images ([`Answered::is_too_soon`]), practice left out.
    pub too_soon: usize,
}

/// A session in a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionEntry {
    /// The file.
    pub path: PathBuf,
    /// Who.
    pub observer: Option<String>,
    /// When it began.
    pub started: String,
    /// Image and attacks.
    pub what: String,
    /// Trials done and in all, practice included.
    pub progress: (usize, usize),
}

/// News of a reader study.
#[derive(Clone, Debug)]
pub enum ReaderEvent {
    /// The session as it is now.
    Session(Box<SessionView>),
    /// The sessions of a folder, the newest first.
    Listed(Vec<SessionEntry>),
    /// The thresholds of a file that were reached, and how many were not.
    Thresholds {
        /// Where they are from.
        path: PathBuf,
        /// Those that were reached.
        found: Vec<Measured>,
        /// How many were not.
        unreached: usize,
    },
    /// The table was written.
    Exported(PathBuf),
    /// It failed; the session is as it was.
    Failed(Problem),
}

/// The thread that keeps sessions. Dropping it ends it; what was answered is on disk.
pub(super) struct ReaderLane {
    sender: Option<Sender<ReaderRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl ReaderLane {
    pub(super) fn start(outbox: Outbox) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let run = move || run(&receiver, &outbox);
        let thread = std::thread::Builder::new().name("reader study".to_owned()).spawn(run)?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    pub(super) fn send(&self, request: ReaderRequest) {
        if let Some(sender) = &self.sender {
            // The thread lives as long as this sender.
            let _ = sender.send(request);
        }
    }
}

impl Drop for ReaderLane {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(receiver: &Receiver<ReaderRequest>, outbox: &Outbox) {
    let mut open: Option<(Session, PathBuf)> = None;
    while let Ok(request) = receiver.recv() {
        let served = catch_unwind(AssertUnwindSafe(|| serve(request, &mut open)))
            .unwrap_or_else(|panic| Err(panic_text(panic.as_ref())));
        let event = match served {
            Ok(None) => continue,
            Ok(Some(event)) => event,
            Err(why) => ReaderEvent::Failed(Problem { what: "Reader study".to_owned(), why }),
        };
        outbox.send(Event::Reader(event));
    }
}

fn serve(request: ReaderRequest, open: &mut Option<(Session, PathBuf)>) -> Result<Option<ReaderEvent>, String> {
    let text = |e: crate::observer::SessionError| e.to_string();
    let mut note = None;
    match request {
        ReaderRequest::Begin { folder, plan, display, observer, stimuli } => {
            *open = None;
            fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}. Choose another folder", folder.display()))?;
            let path = new_file(&folder, observer.as_deref());
            let session = Session::create_with(&path, *plan, display, observer, Some(*stimuli)).map_err(text)?;
            *open = Some((session, path));
        }
        ReaderRequest::Resume(path) => {
            *open = None;
            let (session, said) = Session::resume(&path).map_err(text)?;
            note = said;
            *open = Some((session, path));
        }
        ReaderRequest::Answer { answer, seconds, presented } => {
            let (session, _) = open.as_mut().ok_or("no session is open")?;
            session.answer_presented(answer, seconds, Some(presented)).map_err(text)?;
        }
        ReaderRequest::Rested => open.as_mut().ok_or("no session is open")?.0.rested().map_err(text)?,
        ReaderRequest::Close => {
            *open = None;
            return Ok(None);
        }
        ReaderRequest::Thresholds(path) => {
            let all = read_thresholds(&path).map_err(|e| e.to_string())?;
            let count = all.len();
            let found: Vec<Measured> = all.into_iter().filter(Measured::is_reached).collect();
            return Ok(Some(ReaderEvent::Thresholds { unreached: count - found.len(), path, found }));
        }
        ReaderRequest::List(folder) => return Ok(Some(ReaderEvent::Listed(list(&folder)))),
        ReaderRequest::Export { folder, table } => {
            let found: Vec<(Header, Vec<Answered>)> =
                sessions(&folder).iter().filter_map(|path| Session::read(path).ok()).map(|(h, a, _)| (h, a)).collect();
            if found.is_empty() {
                return Err(format!("{}: holds no session yet", folder.display()));
            }
            let text = export_csv(&found).map_err(|e| e.to_string())?;
            write_bytes_atomic(&table, text.as_bytes()).map_err(|e| e.to_string())?;
            return Ok(Some(ReaderEvent::Exported(table)));
        }
    }
    let (session, path) = open.as_ref().ok_or("no session is open")?;
    let procedure = session.procedure();
    let next = session.next();
    Ok(Some(ReaderEvent::Session(Box::new(SessionView {
        path: path.clone(),
        header: session.header().clone(),
        next,
        progress: procedure.progress(),
        last: procedure.answered().last().copied(),
        note,
        result: matches!(next, Next::Done).then(|| result(session, path)),
    }))))
}

fn result(session: &Session, path: &Path) -> SessionResult {
    let (header, procedure) = (session.header(), session.procedure());
    let answered = procedure.answered();
    let mut header = header.clone();
    header.observer.get_or_insert_with(|| format!("observer {}", number_of(path)));
    let rows = rows_of(&header, answered);
    let missed = answered.iter().filter_map(|a| a.presented).map(|p| p.dropped);
    SessionResult {
        thresholds: thresholds(&rows, None).map_err(|e| e.to_string()),
        dropped: [missed.clone().sum(), missed.filter(|d| *d > 0).count() as u32],
        too_soon: answered.iter().filter(|a| a.trial.kind != Kind::Practice && a.is_too_soon()).count(),
    }
}

/// The number of a session in its folder, by which the exported table calls an observer without a name.
fn number_of(path: &Path) -> usize {
    let all = path.parent().map(sessions).unwrap_or_default();
    let before = all.iter().take_while(|other| *other != path);
    before.filter(|other| Session::read(other).is_ok()).count() + 1
}

/// A name that is free: the time, and who.
fn new_file(folder: &Path, observer: Option<&str>) -> PathBuf {
    let time: String = crate::study::report::utc_now().chars().filter(char::is_ascii_digit).collect();
    let who: String = observer.unwrap_or("observer").chars().filter(|c| c.is_alphanumeric()).take(24).collect();
    let who = if who.is_empty() { "observer".to_owned() } else { who };
    let name = |n: usize| match n {
        0 => folder.join(format!("{time}-{who}.{SESSION_ENDING}")),
        n => folder.join(format!("{time}-{who}-{n}.{SESSION_ENDING}")),
    };
    (0..1000).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(1000))
}

fn sessions(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut all: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == SESSION_ENDING)).collect();
    // By the name without its ending: `observer-1` was begun after `observer`.
    all.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    all
}

/// Most sessions that are listed.
const MOST_LISTED: usize = 200;

fn list(folder: &Path) -> Vec<SessionEntry> {
    let entry = |path: PathBuf| {
        let (header, answered, _) = Session::read(&path).ok()?;
        let plan = &header.plan;
        let shown = |c: usize| (&plan.conditions[c].image, header.stimuli.as_ref().map(|s| s.image(c).0));
        let images: BTreeSet<_> = (0..plan.conditions.len()).map(shown).collect();
        let image = match images.len() {
            1 => plan.conditions[0].image.clone(),
            several => format!("{several} images"),
        };
        let mut attacks: Vec<&str> = Vec::new();
        for condition in &plan.conditions {
            if !attacks.contains(&condition.attack.as_str()) {
                attacks.push(&condition.attack);
            }
        }
        let titles: Vec<&str> =
            attacks.iter().map(|name| crate::attack::find(name).map_or(*name, |a| a.title)).collect();
        let total = (plan.trials + plan.catches) * plan.conditions.len() + plan.practice;
        Some(SessionEntry {
            path,
            observer: header.observer.clone(),
            started: header.started.clone(),
            what: format!("{image}, {}", titles.join(" and ")),
            progress: (answered.len(), total),
        })
    };
    sessions(folder).into_iter().rev().take(MOST_LISTED).filter_map(entry).collect()
}
