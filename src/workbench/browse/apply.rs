//! What commands and events change in the data set that is open.

use super::{Remembered, Thumbnails};
use crate::data::{Axis, Dataset, Thumbnail};
use crate::engine::{CaseInfo, Request};
use crate::workbench::app::App;
use crate::workbench::settings::MOST_RECENT;
use crate::workbench::state::Recent;
use eframe::egui::Context;
use std::sync::Arc;

impl App {
    /// A data set was opened.
    pub(in crate::workbench) fn new_set(&mut self, set: Arc<Dataset>) {
        let browse = &mut self.state.browse;
        // The filter belongs to its data set: the one that is opened again, or the one of the last session.
        let again = browse.set.as_ref().is_some_and(|old| old.path == set.path);
        let remembered = self.remembered.take().filter(|remembered| remembered.path == set.path);
        if let Some(remembered) = remembered {
            browse.filter = remembered.filter;
        } else if !again {
            browse.filter = browse.filter.cleared();
        }
        browse.thumbnails = Thumbnails::default();
        (browse.chosen, browse.pending) = (None, false);
        if is_folder(&set) {
            let recent = Recent { image: set.path.clone(), label: None };
            self.state.recent.retain(|r| r.image != recent.image);
            self.state.recent.insert(0, recent);
            self.state.recent.truncate(MOST_RECENT);
        }
        browse.set = Some(set);
        browse.refilter();
    }

    /// Forgets the data set; the case that is open stays.
    pub(in crate::workbench) fn close_set(&mut self) {
        let browse = &mut self.state.browse;
        (browse.set, browse.chosen, browse.enlarged) = (None, None, false);
        browse.thumbnails = Thumbnails::default();
        browse.refilter();
    }

    /// Shows an entry.
    pub(in crate::workbench) fn show_entry(&mut self, index: usize) {
        let browse = &mut self.state.browse;
        let Some(set) = browse.set.clone() else { return };
        let Some(entry) = set.entries.get(index) else { return };
        browse.chosen = Some(index);
        browse.pending = true;
        let same_file = |case: &Arc<CaseInfo>| case.path.as_deref() == Some(&*entry.image.file);
        if let Some(case) = self.state.case.as_ref().filter(|case| same_file(case)) {
            self.state.case_shown &= case.slice == entry.image.slice;
            (self.state.slice, self.state.slice_wished) = (entry.image.slice, true);
        }
        self.state.playing = false;
        self.engine.send(Request::OpenEntry { set, index });
    }

    /// Thumbnails of these entries are on the screen, or near it.
    pub(in crate::workbench) fn look_at(&mut self, indices: &[usize]) {
        let browse = &mut self.state.browse;
        let Some(set) = browse.set.clone() else { return };
        let indices = browse.thumbnails.look_at(indices);
        self.engine.send(Request::Thumbnails { set, indices });
    }

    /// A thumbnail has come.
    pub(in crate::workbench) fn take_thumbnail(
        &mut self,
        set: &Arc<Dataset>,
        index: usize,
        made: Result<Thumbnail, String>,
    ) {
        let browse = &mut self.state.browse;
        if browse.set.as_ref().is_some_and(|open| Arc::ptr_eq(open, set)) {
            browse.thumbnails.arrive(index, made);
        }
    }

    /// Uploads what has come; a part each frame.
    pub(in crate::workbench) fn upload_thumbnails(&mut self, context: &Context) {
        let browse = &mut self.state.browse;
        if let Some(set) = &browse.set
            && browse.thumbnails.upload(set, context)
        {
            context.request_repaint();
        }
    }

    /// The case is another: the entry that it is becomes the chosen one, unless a later one is wished for already.
    pub(in crate::workbench) fn follow_case(&mut self, case: &CaseInfo) {
        let browse = &mut self.state.browse;
        let Some(set) = &browse.set else { return };
        // Slices along another axis are no entries.
        let path = case.path.as_deref().filter(|_| case.axis == Axis::Slices);
        let found = path.and_then(|path| set.position(path, case.slice));
        if !browse.pending {
            browse.chosen = if case.axis == Axis::Slices { found } else { browse.chosen };
        } else if found == browse.chosen {
            browse.pending = false;
        }
    }

    /// Whether a case is an entry of the data set that is open: it is none of the recent files then.
    pub(in crate::workbench) fn is_entry(&self, case: &CaseInfo) -> bool {
        let set = self.state.browse.set.as_ref().filter(|set| is_folder(set));
        set.zip(case.path.as_deref()).is_some_and(|(set, path)| set.position(path, 0).is_some())
    }

    /// What the next session should open.
    pub(in crate::workbench) fn set_to_remember(&self) -> Option<Remembered> {
        let browse = &self.state.browse;
        let set = browse.set.as_ref().filter(|set| is_folder(set))?;
        let entry = browse.chosen.unwrap_or(0);
        Some(Remembered { path: set.path.clone(), filter: browse.filter.clone(), entry })
    }
}

/// Whether a data set is a folder rather than the slices of one file, or of one series.
fn is_folder(set: &Dataset) -> bool {
    set.entries.first().is_some_and(|entry| *entry.image.file != *set.path)
}
