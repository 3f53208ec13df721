//! What computes: the device and the model.

use super::{DESCRIBED_SIZE, Stale, Worker, text};
use crate::attack::{Attack, AttackError};
use crate::engine::models::ModelRead;
use crate::engine::{DeviceChoice, Event, Problem};
use crate::model::{self, About, Model, ModelCard};
use std::path::Path;
use std::sync::Arc;

impl Worker {
    pub(super) fn device(&self) -> Result<burn::tensor::Device, String> {
        Ok(self.backend.as_ref().ok_or("no device is chosen")?.device.clone())
    }

    pub(super) fn use_device(&mut self, choice: DeviceChoice) -> Result<(), String> {
        let backend = match (self.backends)(choice) {
            Err(why) if self.backend.is_none() && choice != DeviceChoice::Cpu => {
                // At the start there is nothing to go on with: the CPU always works.
                self.use_device(DeviceChoice::Cpu)?;
                return Err(format!("{why}. The CPU computes instead"));
            }
            backend => backend?,
        };
        let moved = self.model.as_ref().map(|model| model.to_device(&backend.device));
        let before = (self.model.clone(), self.backend.replace(backend.clone()));
        self.model = moved;
        if let Err(why) = self.rebuild() {
            (self.model, self.backend) = before;
            return Err(why);
        }
        self.jobs.cancel();
        self.outbox.send(Event::Device(backend.info));
        Ok(())
    }

    /// A model was read.
    pub(super) fn model_read(&mut self, read: ModelRead) -> Result<(), String> {
        if !self.models.take(read.ticket) {
            return Ok(());
        }
        let ready = match read.ready {
            Ok(ready) => ready,
            Err(why) => {
                // The image waited for nothing.
                let image = self.waiting_scene.take().map(|scene| self.replace_scene(scene, Stale::Case));
                return match image {
                    Some(Err(image)) => Err(format!("{why}. And the image that waited for it: {image}")),
                    _ => Err(why),
                };
            }
        };
        // Another device may have been chosen meanwhile.
        let device = self.backend.as_ref().ok_or("no device is chosen")?.device.clone();
        let model = if ready.model.device() == device { ready.model } else { ready.model.to_device(&device) };
        self.about = Some((model.clone(), ready.about));
        let (scene, waiting) = (self.scene.clone(), self.waiting_scene.clone());
        // Its classes are others.
        if let Some(scene) = &mut self.scene {
            (scene.truth, scene.target) = (None, None);
        }
        self.outbox.send(Event::TryingModel);
        let mailbox = self.mailbox.clone();
        let given_up = move || mailbox.model_is_outdated();
        let used = model::interruptible(given_up.clone(), || self.use_model(model.clone()));
        if used.is_err() && self.model.as_ref().is_some_and(|present| !Arc::ptr_eq(present, &model)) {
            self.scene = scene;
        }
        match used {
            Err(_) if given_up() => {
                // The wish that waits decides what becomes of an image that waited for this model.
                self.waiting_scene = waiting;
                if self.early_shown && self.stale < Stale::Case && !self.first.is_shown() {
                    self.show_again();
                }
                Ok(())
            }
            used => used,
        }
    }

    pub(super) fn use_model(&mut self, model: Arc<dyn Model>) -> Result<(), String> {
        let previous = self.model.replace(model.clone());
        // Another model, other classes.
        if let Some(scene) = &mut self.scene {
            scene.guess = None;
        }
        let rebuilt = match self.waiting_scene.take() {
            Some(scene) => self.replace_scene(scene, Stale::Case),
            None => self.rebuild(),
        };
        if let Err(why) = rebuilt {
            // The new model does not fit the image that is open: keep the old one.
            if previous.is_some() {
                self.model = previous;
            }
            return Err(why);
        }
        self.describe(&model);
        self.do_without_gradient(model.as_ref()).map_err(text)
    }

    /// Puts random signs in the place of an attack that looks at a gradient which `model` has not: what it predicts can be
    /// looked at all the same. With a model that has one the attack is back.
    fn do_without_gradient(&mut self, model: &dyn Model) -> Result<(), AttackError> {
        let wished = self.displaced.unwrap_or(self.method);
        let Err(why) = wished.check_model(model) else {
            if self.displaced.take().is_some() {
                self.method = wished;
                self.outbox.send(Event::Attack(wished));
            }
            return Ok(());
        };
        (self.displaced, self.method) = (Some(wished), Attack::random_sign(0)?);
        self.outbox.send(Event::Attack(self.method));
        let why = format!("{why}. Random signs are shown");
        self.outbox.send(Event::Failed(Problem { what: wished.title().to_owned(), why }));
        Ok(())
    }

    /// The present model as `card` says, if it is the one that was read from `of`.
    pub(super) fn use_card(&mut self, of: Option<&Path>, card: ModelCard) -> Result<(), String> {
        let present = self.model.clone().ok_or("no model is open")?;
        if present.facts().path.as_deref() != of || *present.card() == card {
            return Ok(());
        }
        let (before, model) = (present.card().clone(), present.with_card(card).map_err(text)?);
        // What its file holds does not change with the card; what it costs does with the size of its input.
        let costs = |card: &ModelCard| (card.channels, card.size_rule);
        if let Some((_, about)) = self.about.as_ref().filter(|_| costs(&before) == costs(model.card())) {
            let about = About { facts: model.facts(), ..(**about).clone() };
            self.about = Some((model.clone(), Arc::new(about)));
        }
        self.use_model(model)
    }

    pub(super) fn save_card(&self) -> Result<(), String> {
        let model = self.model.as_ref().ok_or("no model is open")?;
        let path = model.facts().path.ok_or("this model came from no file")?.with_extension("toml");
        model::write_card(&path, model.card()).map_err(text)?;
        self.outbox.send(Event::CardSaved(path));
        Ok(())
    }

    /// Tells the window of a model.
    pub(super) fn describe(&mut self, model: &Arc<dyn Model>) {
        let known = self.about.as_ref().filter(|(of, _)| Arc::ptr_eq(of, model)).map(|(_, about)| about.clone());
        let about = known.unwrap_or_else(|| Arc::new(model.about(DESCRIBED_SIZE)));
        self.about = Some((model.clone(), about.clone()));
        self.outbox.send(Event::Model(Arc::new(model.card().clone()), about));
    }
}
