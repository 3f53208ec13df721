//! Another scene in the place of the present one: it is taken only if model and image fit together.

use super::{Good, Stale, Worker, text};
use crate::data::{LabelMap, LabelStack};
use crate::engine::scene::Scene;
use crate::engine::{CaseInfo, Early, Event, TargetWish};
use crate::model::{self, Model};
use crate::study::Subject;
use std::sync::Arc;

impl Worker {
    /// The subject anew, for a new model or device.
    pub(super) fn rebuild(&mut self) -> Result<(), String> {
        match self.scene.clone() {
            Some(scene) => self.replace_scene(scene, Stale::Case),
            None => Ok(()),
        }
    }

    pub(super) fn rescene(&mut self, stale: Stale, change: impl FnOnce(&mut Scene)) -> Result<(), String> {
        let mut scene = self.scene.clone().ok_or("no image is open")?;
        change(&mut scene);
        self.replace_scene(scene, stale)
    }

    /// Takes `scene` if model and image fit together; otherwise the present one stays.
    pub(super) fn replace_scene(&mut self, mut scene: Scene, stale: Stale) -> Result<(), String> {
        let place = |scene: &Scene| (scene.axis, scene.slice);
        if self.scene.as_ref().is_some_and(|now| place(now) != place(&scene)) {
            // A mask that was to be reached was one of the slice before.
            scene.target = scene.target.filter(TargetWish::is_of_any_image);
        }
        let Some(model) = self.model.clone() else {
            // The bundled model failed to load (a device without memory): remember the image for the next model.
            self.scene = Some(scene);
            return Ok(());
        };
        self.outbox.send(Event::Computing(true));
        self.foreground.set_busy(true);
        let built = self.subject_of(&scene, model, stale);
        self.foreground.set_busy(false);
        self.outbox.send(Event::Computing(false));
        let (subject, info, early) = built?;
        // One guess holds for all slices: a slice on which the model is wrong would turn the classes round.
        let guess = if info.label_map_guessed { info.label_map.clone() } else { None };
        self.scene = Some(Scene { guess, ..scene });
        self.subject = Some(Arc::new(subject));
        let info = Arc::new(info);
        self.info = Some(info.clone());
        self.outbox.send(Event::Case(info.clone()));
        if let (Some(early), Some(subject), Some(backend)) = (early, &self.subject, &self.backend) {
            self.outbox.send(Event::Early(Arc::new(early.seen(subject, info, &backend.publish)?)));
        }
        self.stale = self.stale.max(stale);
        Ok(())
    }

    /// Whether the last frame is of the picture that `scene` will show, and nothing of another one was shown since: it stays until
    /// another model or device has looked at it.
    fn shows(&self, scene: &Scene, info: &CaseInfo) -> bool {
        let same = |good: &Good| {
            let place = |scene: &Scene| (scene.axis, scene.slice);
            Arc::ptr_eq(&good.scene.stack, &scene.stack)
                && place(&good.scene) == place(scene)
                && good.info.bounds == info.bounds
        };
        !self.early_shown && self.good.as_ref().is_some_and(same)
    }

    /// `scene` on `model`. If the image is another one, it is shown before the model looks at it.
    fn subject_of(
        &mut self,
        scene: &Scene,
        model: Arc<dyn Model>,
        stale: Stale,
    ) -> Result<(Subject, CaseInfo, Option<Early>), String> {
        let previous = self.subject.as_deref().filter(|_| stale < Stale::Case);
        let case = previous.map_or_else(|| scene.case(model.as_ref()), |subject| Ok(subject.case.clone()))?;
        let info = scene.info(&case);
        let early = (previous.is_none() && !self.shows(scene, &info)).then(|| Early::read(&case, info.clone()));
        if let Some(early) = &early {
            self.early_shown = true;
            self.outbox.send(Event::Early(Arc::new(early.clone())));
        }
        let (subject, info) = scene.subject(case, info, model, previous)?;
        // A network that cannot be stopped halfway was run for nobody.
        model::check_wanted().map_err(text)?;
        Ok((subject, info, early))
    }

    /// The present slice of a mask as what attacks are to reach: its values are mapped as the label's, else guessed by agreement
    /// with what the model sees.
    pub(super) fn use_target(&mut self, stack: &LabelStack) -> Result<(), String> {
        let (Some(scene), Some(subject)) = (&self.scene, &self.subject) else {
            return Err("no image is open".to_owned());
        };
        let lacking = "the mask has no such slice";
        let stack = stack.along(scene.stack.along(scene.axis).axis);
        let known = self.info.as_ref().and_then(|info| info.label_map.clone());
        let covers = |map: &LabelMap| stack.values.iter().all(|value| map.entries.iter().any(|(v, _)| v == value));
        let map = match known.filter(covers) {
            Some(map) => map,
            None => {
                let classes = subject.model.card().classes.len();
                stack.guess(scene.slice, classes, &subject.clean.predicted).ok_or(lacking)?
            }
        };
        let mask = stack.mask(scene.slice, &map).ok_or(lacking)?;
        self.rescene(Stale::Label, |scene| scene.target = Some(TargetWish::Mask(Arc::new(mask))))
    }
}
