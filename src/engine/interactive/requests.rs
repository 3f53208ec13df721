//! What each wish changes.

use super::{Stale, Worker, text};
use crate::attack::{Attack, AttackError};
use crate::data::dataset::MaskSource;
use crate::data::{Axis, DataError, Dataset, LabelMap, LabelStack, Stack};
use crate::engine::files::{self, Content, Opened, Reading};
use crate::engine::scene::Scene;
use crate::engine::{CaseInfo, DeviceChoice, Early, Event, Problem, Request, TargetWish};
use crate::model::{self, About, BuiltIn, Model, ModelCard};
use crate::study::{Subject, SweepPlan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Worker {
    pub(super) fn serve(&mut self, request: Request) -> Result<(), String> {
        match request {
            Request::Generate(sample) => {
                self.read_image(PathBuf::from(sample.name()), move |_| files::generate(sample))
            }
            Request::OpenSample => self.read_image(PathBuf::from("sample"), |_| files::read_sample()),
            Request::Open { image, label, slice } => {
                let (mut tell, stacks) = (self.told(), self.stacks.clone());
                self.read_image(image.clone(), move |reading| {
                    files::read_image(&image, label.as_deref(), slice, &stacks, reading, &mut tell)
                })
            }
            Request::OpenEntry { set, index } => self.open_entry(set, index),
            // The pool serves them.
            Request::Thumbnails { .. } | Request::Seen(_) | Request::Reader(_) | Request::Train(_) => Ok(()),
            Request::Stimuli(None) => {
                self.stimuli.stop();
                Ok(())
            }
            Request::Stimuli(Some(wish)) => {
                self.make_stimuli(wish);
                Ok(())
            }
            Request::StudyImages(wish) => {
                self.read_study_images(wish);
                Ok(())
            }
            Request::OpenLabel(path) if self.files.reads_image() => {
                // It belongs to the image that is being read.
                self.waiting_label = Some(path);
                Ok(())
            }
            Request::OpenLabel(path) => {
                let stack = self.scene.as_ref().ok_or("open an image first, then its label")?.stack.clone();
                self.read(path.clone(), move |r| files::read_label(&path, &stack, &r.cancel))
            }
            Request::CancelOpen => {
                self.waiting_label = None;
                self.files.cancel();
                self.give_first_up();
                Ok(())
            }
            Request::CloseLabel => self.rescene(Stale::Label, |scene| {
                scene.label = None;
                scene.label_map = None;
                scene.guess = None;
            }),
            Request::Truth(choice) => self.rescene(Stale::Label, |scene| {
                scene.truth = Some((scene.axis, scene.slice, choice));
            }),
            Request::Target(wish) => self.rescene(Stale::Label, |scene| scene.target = wish),
            Request::OpenTarget(path) => {
                let stack = self.scene.as_ref().ok_or("open an image first, then the mask to reach")?.stack.clone();
                self.read(path.clone(), move |r| files::read_target(&path, &stack, &r.cancel))
            }
            Request::LabelMap(map) => self.rescene(Stale::Label, |scene| {
                scene.label_map = map;
                scene.guess = None;
            }),
            Request::Bounds(bounds) => {
                let scene = self.scene.as_ref().ok_or("no image is open")?;
                let stack = Arc::new(scene.stack.with_bounds(bounds).map_err(text)?);
                self.rescene(Stale::Case, |scene| scene.stack = stack)
            }
            Request::Unit(unit) => {
                let scene = self.scene.as_ref().ok_or("no image is open")?;
                let stack = Arc::new(scene.stack.with_unit(unit));
                self.rescene(Stale::Case, |scene| scene.stack = stack)
            }
            Request::Slice(slice) => self.rescene(Stale::Case, |scene| {
                scene.slice = slice.min(scene.stack.along(scene.axis).slices.saturating_sub(1));
            }),
            Request::Axis(axis) => {
                let scene = self.scene.as_ref().ok_or("no image is open")?;
                if scene.axis == axis {
                    return Ok(());
                }
                let place = |axis: Axis| Axis::ALL.iter().position(|a| *a == axis).unwrap_or(0);
                let middle = scene.stack.along(axis).slices / 2;
                let slice = scene.visited[place(axis)].unwrap_or(middle);
                self.rescene(Stale::Case, |scene| {
                    scene.visited[place(scene.axis)] = Some(scene.slice);
                    (scene.axis, scene.slice) = (axis, slice);
                })
            }
            Request::Region(region) => {
                // Nothing is open yet: it would have no image to belong to.
                if self.scene.as_ref().is_none_or(|scene| scene.region == region) {
                    return Ok(());
                }
                self.rescene(Stale::Label, |scene| scene.region = region)
            }
            Request::OpenBundledModel => {
                self.models.cancel();
                let model = BuiltIn::bundled(&self.device()?).map_err(text)?;
                self.use_model(Arc::new(model))
            }
            Request::OpenModel(path) => {
                let device = self.device()?;
                self.models.start(&self.mailbox, &self.outbox, path, device).map_err(text)
            }
            Request::CancelModel => {
                self.models.cancel();
                match self.waiting_scene.take() {
                    Some(scene) => self.replace_scene(scene, Stale::Case),
                    None => Ok(()),
                }
            }
            Request::Card { of, card } => self.use_card(of.as_deref(), *card),
            Request::SaveCard => self.save_card(),
            Request::Attack(method) => {
                if let Some(Err(why)) = self.model.as_ref().map(|model| method.check_model(model.as_ref())) {
                    // It is begun with the next model that has a gradient.
                    self.displaced = Some(method);
                    self.outbox.send(Event::Attack(self.method));
                    return Err(why.to_string());
                }
                self.displaced = None;
                if method != self.method || self.prepared.is_none() {
                    self.method = method;
                    self.stale = self.stale.max(Stale::Attack);
                }
                Ok(())
            }
            // The mailbox tells the attack that is running.
            Request::StopAttack => Ok(()),
            Request::RunAttack => {
                if let Some(prepared) = &self.prepared {
                    prepared.run();
                    self.stale = self.stale.max(Stale::Epsilon);
                }
                Ok(())
            }
            Request::Epsilon(epsilon) => {
                // An L2 norm may be larger than 1.
                if !(epsilon.is_finite() && epsilon >= 0.0) {
                    return Err(format!("ε = {epsilon} is not a number from 0 up (a fraction of the grey range)"));
                }
                self.epsilon = epsilon;
                self.stale = self.stale.max(Stale::Epsilon);
                Ok(())
            }
            Request::Device(choice) => self.use_device(choice),
            Request::Sweep(plan) => {
                // What a screen shows is another wish's business.
                let seen = if plan.seen == Default::default() { self.plan.seen.clone() } else { plan.seen };
                self.plan = SweepPlan { seen, ..plan };
                self.start_curve();
                Ok(())
            }
            Request::Compare { attacks, epsilons } => self.start_comparison(attacks, epsilons),
            // The lane is told at once.
            Request::PauseJob(_) | Request::CancelJob => Ok(()),
            Request::MeasureSeen(seen) => {
                if self.plan.seen != seen {
                    self.plan.seen = seen;
                    self.start_curve();
                }
                Ok(())
            }
            Request::Export(wish) => self.export(wish),
        }
    }

    /// Tells the window how much of a file is read.
    fn told(&self) -> impl FnMut(f32) + Send + 'static + use<> {
        let outbox = self.outbox.clone();
        let mut told = 0.0;
        move |share: f32| {
            // A stack has thousands of pages; a bar has a hundred places.
            if share - told >= 0.01 {
                told = share;
                outbox.send(Event::Read(share));
            }
        }
    }

    fn open_entry(&mut self, set: Arc<Dataset>, index: usize) -> Result<(), String> {
        let entry = set.entries.get(index).ok_or("the data set has no such entry")?;
        let same_set = self.set.as_ref().is_some_and(|open| Arc::ptr_eq(open, &set));
        let file = self.scene.as_ref().and_then(|scene| scene.stack.path.as_deref());
        let (slice, path) = (entry.image.slice, entry.image.file.clone());
        let only_slice = matches!(entry.mask, None | Some(MaskSource::File(_)));
        if same_set && only_slice && file == Some(&*path) && self.good.is_some() {
            // Another slice of what is open; whatever else is being read is outdated.
            self.waiting_label = None;
            self.files.cancel();
            self.end_first();
            return self.rescene(Stale::Case, |scene| (scene.axis, scene.slice) = (Axis::default(), slice));
        }
        let (mut tell, stacks) = (self.told(), self.stacks.clone());
        self.read_image(path.to_path_buf(), move |reading| files::read_entry(&set, index, &stacks, reading, &mut tell))
    }

    fn read_image(
        &mut self,
        path: PathBuf,
        read: impl FnOnce(&Reading) -> Result<Content, DataError> + Send + 'static,
    ) -> Result<(), String> {
        self.waiting_label = None;
        self.read(path, read)?;
        self.files.is_of_image();
        Ok(())
    }

    fn read(
        &mut self,
        path: PathBuf,
        read: impl FnOnce(&Reading) -> Result<Content, DataError> + Send + 'static,
    ) -> Result<(), String> {
        self.outbox.send(Event::Opening(path.clone()));
        self.files.start(&self.mailbox, &path, read).map_err(text)
    }

    pub(super) fn opened(&mut self, opened: Opened) -> Result<(), String> {
        if !self.files.is_current(opened.ticket) {
            return Ok(());
        }
        let taken = self.take_opened(opened);
        self.end_first();
        taken
    }

    fn take_opened(&mut self, opened: Opened) -> Result<(), String> {
        self.files.done();
        let waiting_label = self.waiting_label.take();
        let content = match opened.content {
            Err(error) if error.is_cancelled() => return Ok(()),
            content => content.map_err(text)?,
        };
        match content {
            Content::Set(set, index) => {
                self.outbox.send(Event::Dataset(set.clone()));
                self.open_entry(set, index)
            }
            Content::Image { stack, label, label_error, slice, name, set } => {
                if set.is_none() && stack.slices > 1 {
                    let file = label.as_ref().and_then(|(_, file)| file.as_deref());
                    self.set = Dataset::of_stack(&stack, file).map(Arc::new);
                    self.set.iter().for_each(|set| self.outbox.send(Event::Dataset(set.clone())));
                } else {
                    self.set = set;
                }
                let scene = self.new_scene(stack, name, label, slice);
                self.waiting_scene = None;
                if let Err(why) = self.replace_scene(scene.clone(), Stale::Case) {
                    if !self.models.reads() {
                        return Err(why);
                    }
                    // It may be meant for the model that is being read.
                    self.waiting_scene = Some(scene);
                    return Ok(());
                }
                match (waiting_label, label_error) {
                    (Some(path), _) => self.serve(Request::OpenLabel(path)),
                    (None, Some(error)) => Err(text(error)),
                    (None, None) => Ok(()),
                }
            }
            Content::Target(label) => self.use_target(&label),
            Content::Label(label, path) => self.rescene(Stale::Label, |scene| {
                scene.label = Some((label, Some(path)));
                scene.label_map = None;
                scene.guess = None;
            }),
        }
    }

    /// Files that were read as a scene of which nothing is chosen yet.
    pub(super) fn new_scene(
        &self,
        stack: Arc<Stack>,
        name: String,
        label: Option<(Arc<LabelStack>, Option<PathBuf>)>,
        slice: usize,
    ) -> Scene {
        // A class that is wished of one image is wished of the next.
        let target = self.scene.as_ref().and_then(|scene| scene.target.clone()).filter(TargetWish::is_of_any_image);
        let (axis, visited) = (Axis::default(), [None; 3]);
        let (region, truth, label_map, guess) = (None, None, None, None);
        Scene { stack, name, label, axis, slice, visited, region, truth, target, label_map, guess }
    }

    /// The present slice of a mask as what attacks are to reach: its values are mapped as the label's, else guessed by agreement
    /// with what the model sees.
    fn use_target(&mut self, stack: &LabelStack) -> Result<(), String> {
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

    fn device(&self) -> Result<burn::tensor::Device, String> {
        Ok(self.backend.as_ref().ok_or("no device is chosen")?.device.clone())
    }

    fn use_device(&mut self, choice: DeviceChoice) -> Result<(), String> {
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
    fn use_card(&mut self, of: Option<&Path>, card: ModelCard) -> Result<(), String> {
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

    fn save_card(&self) -> Result<(), String> {
        let model = self.model.as_ref().ok_or("no model is open")?;
        let path = model.facts().path.ok_or("this model came from no file")?.with_extension("toml");
        model::write_card(&path, model.card()).map_err(text)?;
        self.outbox.send(Event::CardSaved(path));
        Ok(())
    }

    /// The subject anew, for a new model or device.
    fn rebuild(&mut self) -> Result<(), String> {
        match self.scene.clone() {
            Some(scene) => self.replace_scene(scene, Stale::Case),
            None => Ok(()),
        }
    }

    fn rescene(&mut self, stale: Stale, change: impl FnOnce(&mut Scene)) -> Result<(), String> {
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
        let early = previous.is_none().then(|| Early::read(&case, info.clone()));
        if let Some(early) = &early {
            self.early_shown = true;
            self.outbox.send(Event::Early(Arc::new(early.clone())));
        }
        let (subject, info) = scene.subject(case, info, model, previous)?;
        // A network that cannot be stopped halfway was run for nobody.
        model::check_wanted().map_err(text)?;
        Ok((subject, info, early))
    }
}
