//! What a study shows: the image on the screen, or several of the open data set, and the attacked ones that are made of them.

use super::{Reader, Stock};
use crate::engine::{
    CaseInfo, ReaderRequest, Request, SessionView, StimuliWish, StudyImage, StudyImages, StudyImagesWish,
};
use crate::observer::{Next, Stimuli, StimulusImage};
use crate::view::Orientation;
use crate::workbench::{CommandSender, State};
use eframe::egui::Vec2;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Entries of a data set that are being read.
pub(super) struct Reading {
    id: u64,
    /// For a session that goes on; else one begins.
    pub view: Option<Box<SessionView>>,
    /// Of one that begins: its seed, and the room that the images have, in screen pixels.
    begins: (u64, Vec2),
    /// What was on the screen: its window and bounds are those of the session.
    case: Arc<CaseInfo>,
}

/// How the image of a condition lies on the screen: what was known when the session was prepared, whatever is opened after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lie {
    /// Distances in mm between rows and between columns, where known.
    pub spacing: Option<[f32; 2]>,
    pub orientation: Orientation,
}

/// Said where a study would have to know the image.
pub(super) const NOTHING_SHOWN: &str =
    "the image is not on the screen yet, or none is open. Wait for it, then try again";

/// Said of sessions of older versions.
const NOT_TOLD: &str = "The session does not tell pixels, bounds, label, region and target that it began with: make sure that they are the same now";

/// Said where what is open has the name of what a session shows, and is another in these respects.
fn another(name: &str, differs: &[&str]) -> String {
    format!(
        "the session shows another {name} (what differs: {}): open and choose what it began with, then resume",
        differs.join(", ")
    )
}

/// A number that no other study has.
pub(super) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Reader {
    /// Has entries of the open data set read.
    pub(super) fn read_images(
        &mut self,
        entries: Vec<usize>,
        begins: (u64, Vec2),
        state: &State,
        commands: &CommandSender,
    ) -> Result<(), String> {
        let set = state.browse.set.clone().ok_or("no data set is open")?;
        let case = state.case.clone().filter(|_| state.case_shown).ok_or(NOTHING_SHOWN)?;
        let id = number();
        self.reading = Some(Reading { id, view: None, begins, case });
        commands.request(Request::StudyImages(StudyImagesWish { id, set, entries }));
        Ok(())
    }

    /// The images were read.
    pub fn take_images(&mut self, images: StudyImages, state: &State, commands: &CommandSender) {
        let Some(reading) = self.reading.take_if(|reading| reading.id == images.id) else { return };
        match (images.images, reading.view) {
            (Err(why), view) => {
                if view.is_some() {
                    commands.request(Request::Reader(ReaderRequest::Close));
                }
                self.problem = Some(why);
            }
            (Ok(found), Some(view)) => {
                self.images = found;
                let stimuli = view.header.stimuli.as_ref();
                let lacking = stimuli.and_then(|s| s.images.iter().find(|image| self.found(image, state).is_none()));
                if let Some(image) = lacking {
                    // Reading them once more would bring the same.
                    let [_, height, width] = image.shape;
                    let other = self.named(image, state).filter(|read| read.shape == image.shape);
                    let other = other.map(|read| image.identity.differs(|column| read.identity.get(column)));
                    self.problem = Some(other.map_or_else(
                        || {
                            format!(
                                "{} is not the image of the session any more, which has {width} × {height} pixels: open the data set with \
                                 that one, then resume",
                                image.entry
                            )
                        },
                        |differs| another(&image.entry, &differs),
                    ));
                    commands.request(Request::Reader(ReaderRequest::Close));
                    return;
                }
                self.follow(view, state, commands);
            }
            (Ok(_), None) if !state.case.as_ref().is_some_and(|case| case.shows_same(&reading.case)) => {
                let name = &reading.case.name;
                self.problem = Some(format!(
                    "Another image was opened while those of the study were read, whose window and bounds are those of {name}. Prepare it again"
                ));
            }
            (Ok(found), None) => {
                self.images = found;
                let (seed, room) = reading.begins;
                self.begin_with(seed, room, state, commands);
            }
        }
    }

    /// None of the images of wish `id` will come.
    pub fn refused(&mut self, id: u64, why: String, commands: &CommandSender) {
        if id == self.stock.id {
            self.back_to_setup(commands);
            self.problem = Some(why);
        }
    }

    /// Whether a session is being prepared or under way.
    pub fn is_busy(&self) -> bool {
        self.reading.is_some() || self.session.as_ref().is_some_and(|session| !matches!(session.next, Next::Done))
    }

    /// How the image of each condition lies, as it is now.
    fn lies(&self, view: &SessionView, state: &State) -> Vec<Lie> {
        let images = view.header.stimuli.as_ref().map_or(&[][..], |stimuli| &stimuli.images);
        let of = |condition: usize| Lie {
            spacing: match images.get(condition) {
                Some(image) => self.found(image, state).and_then(|found| found.spacing),
                None => state.spacing(),
            },
            orientation: state.view.orientation,
        };
        (0..view.header.plan.conditions.len()).map(of).collect()
    }

    /// The image that was read of what a session names.
    fn found(&self, image: &StimulusImage, state: &State) -> Option<&StudyImage> {
        let same = |i: &&StudyImage| {
            i.shape == image.shape && image.identity.differs(|column| i.identity.get(column)).is_empty()
        };
        self.named(image, state).filter(same)
    }

    /// The image that was read of the entry that a session names, whatever has become of it.
    fn named(&self, image: &StimulusImage, state: &State) -> Option<&StudyImage> {
        let set = state.browse.set.as_ref()?;
        let named = |index: usize| set.entries.get(index).is_some_and(|entry| *entry.name == *image.entry);
        self.images.iter().find(|i| i.slice == image.slice && named(i.entry))
    }

    /// Asks for the images of a session, if it is of what is open; `false` where those of its data set are to be read first.
    pub(super) fn prepare(
        &mut self,
        view: &SessionView,
        state: &State,
        commands: &CommandSender,
    ) -> Result<bool, String> {
        if matches!(view.next, Next::Done) {
            return Ok(true);
        }
        let (header, plan) = (&view.header, &view.header.plan);
        let stimuli = header.stimuli.as_ref().ok_or("this session does not say what its images are made of")?;
        let case = state.case.clone().filter(|_| state.case_shown).ok_or(NOTHING_SHOWN)?;
        let model = state.model.as_ref().map_or("", |m| m.name.as_str());
        if model != stimuli.model {
            return Err(format!(
                "the session attacks {}, not {model}: open that model first, then resume",
                stimuli.model
            ));
        }
        let several = stimuli.images.len();
        if stimuli.attacks.len() != plan.conditions.len() || (several > 0 && several != plan.conditions.len()) {
            return Err("the session names other attacks or images than conditions: it was changed by hand".to_owned());
        }
        let image = plan.conditions.first().map_or("", |c| c.image.as_str());
        if several > 0 {
            if stimuli.images.iter().any(|image| self.found(image, state).is_none()) {
                self.read_images(entries(stimuli, state)?, (0, Vec2::ZERO), state, commands)?;
                return Ok(false);
            }
        } else if case.name != image || case.slice != stimuli.slice || case.shape != stimuli.shape {
            return Err(format!("the session shows {image}, slice {}: open that first, then resume", stimuli.slice));
        } else {
            let differs = case.differs(&stimuli.identity);
            if !differs.is_empty() {
                return Err(another(image, &differs));
            }
        }
        if (0..plan.conditions.len()).any(|condition| stimuli.identity(condition).is_empty()) {
            let before = self.note.take().map_or_else(String::new, |note| note + ". ");
            self.note = Some(before + NOT_TOLD);
        }
        let entry =
            |condition: usize| stimuli.images.get(condition).and_then(|i| self.found(i, state)).map(|i| i.entry);
        let conditions: Vec<_> =
            stimuli.attacks.iter().enumerate().map(|(condition, attack)| (entry(condition), *attack)).collect();
        let id = number();
        let epsilons = plan.epsilons();
        let expected = (epsilons.len() + 1) * conditions.len();
        self.stock = Stock { id, expected, lies: self.lies(view, state), ..Stock::default() };
        commands.request(Request::Stimuli(Some(StimuliWish {
            id,
            of: (case, model.to_owned()),
            set: state.browse.set.clone(),
            conditions,
            epsilons,
            presentation: header.display.presentation,
        })));
        Ok(true)
    }
}

/// The entries of the open data set that a session shows.
fn entries(stimuli: &Stimuli, state: &State) -> Result<Vec<usize>, String> {
    let mut found = Vec::new();
    for image in &stimuli.images {
        let is = |entry: &crate::data::dataset::Entry| *entry.name == *image.entry && entry.image.slice == image.slice;
        let index = state.browse.set.as_ref().and_then(|set| set.entries.iter().position(is)).ok_or_else(|| {
            format!("the session shows {} of a data set that is not open: open that first, then resume", image.entry)
        })?;
        if !found.contains(&index) {
            found.push(index);
        }
    }
    Ok(found)
}
