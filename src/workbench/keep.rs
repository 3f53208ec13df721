//! What the window remembers from one session to the next, and when it is written.

use super::app::{App, SAVE_SECS};
use super::marks::KeptMarks;
use super::settings::Settings;
use super::state::Look;

impl App {
    /// What the settings would be if they were saved now.
    pub fn settings(&self) -> Settings {
        Settings {
            look: Look { presenter: false, ..self.state.look },
            view: self.state.view.clone(),
            unit: self.state.unit,
            scale: self.state.scale,
            brush: Some(self.state.brush),
            seen: self.state.seen.settings.clone(),
            device: self.device,
            recent: self.state.recent.clone(),
            recent_models: self.recent_models.clone(),
            window_size: self.window_size,
            maximized: self.maximized,
            epsilon: Some(self.state.epsilon),
            attack: Some(self.put_aside.unwrap_or(self.state.method)),
            attacks: self.state.tuned.changed(),
            several: self.state.several.clone(),
            layout: Some(self.tree.clone()),
            data_set: self.set_to_remember().or_else(|| self.remembered.clone()),
            model: self.state.card.file.clone(),
            marks: self.marks_to_remember(),
            thumbnail_side: Some(self.state.browse.side),
            training: Some(self.state.training.draft.clone()),
            hint_seen: self.hint_seen || !self.state.hint,
        }
    }

    fn marks_to_remember(&self) -> Vec<KeptMarks> {
        let mut kept = self.marks_of.clone();
        if let Some(case) = &self.state.case {
            kept.keep(case.path.as_deref(), case.axis, self.state.marks.clone());
        }
        kept.of_files()
    }

    pub(super) fn save(&mut self, now: f64) {
        if now < self.next_save {
            return;
        }
        self.next_save = now + SAVE_SECS;
        // A picture of the window is no session of a person.
        if self.shot.is_some() {
            return;
        }
        let settings = self.settings();
        if settings != self.saved {
            if let Some(writer) = &self.writer {
                writer.save(settings.clone());
            }
            self.saved = settings;
        }
    }
}
