//! What reader studies wish for. Every wish is answered: a study would wait for ever for images that nobody makes.

use super::Worker;
use crate::engine::stimuli::Source;
use crate::engine::{Event, StimuliWish, StudyImages, StudyImagesWish};

impl Worker {
    /// What the images are made with.
    fn study_source(&self) -> Result<Source, String> {
        let (subject, scene) = self.subject.clone().zip(self.scene.clone()).ok_or("no image is open")?;
        let model = self.model.clone().ok_or("no model is open")?;
        Ok(Source { model, subject, scene, stacks: self.stacks.clone() })
    }

    /// Has the images of a study made, if they are of what is open.
    pub(super) fn make_stimuli(&mut self, wish: StimuliWish) {
        let (id, outbox) = (wish.id, self.outbox.clone());
        let made = self.study_source().and_then(|source| {
            wish.check(self.info.as_deref(), &source.model.card().name)?;
            self.stimuli.make(source, wish, outbox.clone())
        });
        if let Err(why) = made {
            outbox.send(Event::NoStimuli { id, why });
        }
    }

    /// Has entries of a data set read.
    pub(super) fn read_study_images(&mut self, wish: StudyImagesWish) {
        let (id, outbox) = (wish.id, self.outbox.clone());
        let read = self.study_source().and_then(|source| self.stimuli.read(source, wish, outbox.clone()));
        if let Err(why) = read {
            outbox.send(Event::StudyImages(StudyImages { id, images: Err(why) }));
        }
    }
}
