//! What is read from files: images, data sets, labels.

use super::{Stale, Worker, text};
use crate::data::dataset::MaskSource;
use crate::data::{Axis, DataError, Dataset, LabelStack, Stack};
use crate::engine::files::{self, Content, Opened, Reading};
use crate::engine::scene::Scene;
use crate::engine::{Event, Request, TargetWish};
use std::path::PathBuf;
use std::sync::Arc;

impl Worker {
    /// Tells the window how much of a file is read.
    pub(super) fn told(&self) -> impl FnMut(f32) + Send + 'static + use<> {
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

    pub(super) fn open_entry(&mut self, set: Arc<Dataset>, index: usize) -> Result<(), String> {
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

    pub(super) fn read_image(
        &mut self,
        path: PathBuf,
        read: impl FnOnce(&Reading) -> Result<Content, DataError> + Send + 'static,
    ) -> Result<(), String> {
        self.waiting_label = None;
        self.read(path, read)?;
        self.files.is_of_image();
        Ok(())
    }

    pub(super) fn read(
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
}
