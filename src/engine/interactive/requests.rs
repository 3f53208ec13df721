//! What each wish changes.

use super::{Stale, Worker, text};
use crate::data::Axis;
use crate::engine::files;
use crate::engine::{Event, Request};
use crate::model::BuiltIn;
use crate::study::SweepPlan;
use std::path::PathBuf;
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
}
