//! Undo and redo of ε, attack, view, what is drawn on the pictures, and the model's card.

use super::state::{Marks, View};
use crate::attack::Attack;
use crate::data::Axis;
use crate::model::ModelCard;
use std::path::PathBuf;
use std::sync::Arc;

/// What undo brings back.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The wished ε.
    pub epsilon: f64,
    /// The wished attack.
    pub method: Attack,
    /// What the pictures look like.
    pub view: View,
    /// What is drawn on them.
    pub marks: Marks,
    /// The file and the plane that view and drawings belong to.
    pub place: Option<(Option<PathBuf>, Axis)>,
    /// The card in use, with the file of the model that it belongs to.
    pub card: Option<(Option<PathBuf>, Arc<ModelCard>)>,
}

impl Snapshot {
    /// The view and the drawings to go back to from `now`: how a plane is turned, and what is drawn on it, belongs to that plane,
    /// and a window of grey values to its file. Planes and files are not gone back to.
    pub fn seen_from(&self, now: &Self) -> (View, Marks) {
        if self.place == now.place {
            return (self.view.clone(), self.marks.clone());
        }
        let mut view = View { orientation: now.view.orientation, ..self.view.clone() };
        let file = |snapshot: &Self| snapshot.place.as_ref().map(|(file, _)| file.clone());
        if file(self) != file(now) {
            view.window = now.view.window;
        }
        (view, now.marks.clone())
    }
}

/// What kind of change was made; changes of one kind in quick succession are undone together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// ε.
    Epsilon,
    /// The attack.
    Attack,
    /// The view.
    View,
    /// Region, ruler.
    Marks,
    /// The model's card.
    Card,
}

/// Whether a change belongs to the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// If it follows soon: keys, typed numbers.
    No,
    /// If that one was made since the pointer was pressed, at this time: one drag is one step.
    Since(f64),
    /// Yes.
    Yes,
}

/// Two changes of one kind that follow each other within this many seconds are one.
const TOGETHER_SECS: f64 = 0.7;
/// How many changes are kept.
const MOST: usize = 200;

/// The changes that can be undone and redone.
#[derive(Clone, Debug, Default)]
pub struct History {
    past: Vec<Snapshot>,
    future: Vec<Snapshot>,
    last: Option<(Change, f64)>,
}

impl History {
    /// Notes that `before` is about to change at time `now` (seconds). `held` says whether this change belongs to the
    /// one before it whatever the time between them (a drag that goes on), or begins anew.
    pub fn record(&mut self, before: Snapshot, change: Change, now: f64, held: Held) {
        let together = self.last.is_some_and(|(last, at)| {
            last == change
                && match held {
                    Held::Yes => true,
                    Held::Since(press) => at >= press,
                    Held::No => now - at < TOGETHER_SECS,
                }
        });
        self.last = Some((change, now));
        self.future.clear();
        if together && !self.past.is_empty() {
            return;
        }
        self.past.push(before);
        if self.past.len() > MOST {
            self.past.remove(0);
        }
    }

    /// The next change is one of its own, however soon it comes.
    pub fn separate(&mut self) {
        self.last = None;
    }

    /// A drag begins at time `now`: its changes are one, with the press that began it if that was just now.
    pub fn begin_drag(&mut self, now: f64) {
        self.last = self.last.filter(|(change, at)| *change == Change::Epsilon && now - at < TOGETHER_SECS);
    }

    /// What to go back to from `now`, if there is anything.
    pub fn undo(&mut self, now: Snapshot) -> Option<Snapshot> {
        let back = self.past.pop()?;
        self.future.push(now);
        self.last = None;
        Some(back)
    }

    /// What to go forward to from `now`, if there is anything.
    pub fn redo(&mut self, now: Snapshot) -> Option<Snapshot> {
        let forward = self.future.pop()?;
        self.past.push(now);
        self.last = None;
        Some(forward)
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Orientation;

    fn at(epsilon: f64) -> Snapshot {
        Snapshot {
            epsilon,
            method: Attack::FGSM,
            view: View::default(),
            marks: Marks::default(),
            place: None,
            card: None,
        }
    }

    #[test]
    fn quick_changes_of_one_kind_are_one() {
        let mut history = History::default();
        history.record(at(0.1), Change::Epsilon, 0.0, Held::No);
        history.record(at(0.2), Change::Epsilon, 0.1, Held::No);
        history.record(at(0.3), Change::Epsilon, 9.0, Held::Yes);
        history.record(at(0.4), Change::Attack, 9.1, Held::No);
        assert_eq!(history.undo(at(0.5)), Some(at(0.4)));
        assert_eq!(history.undo(at(0.4)), Some(at(0.1)));
        assert_eq!(history.undo(at(0.1)), None);
        assert_eq!(history.redo(at(0.1)), Some(at(0.4)));
        assert_eq!(history.redo(at(0.4)), Some(at(0.5)));
        assert!(!history.can_redo());
    }

    #[test]
    fn a_drag_is_one_change_with_its_press_and_no_other() {
        let mut history = History::default();
        history.record(at(0.1), Change::Epsilon, 0.0, Held::No);
        // The press of the drag moves ε, then the drag is told.
        history.separate();
        history.record(at(0.2), Change::Epsilon, 5.0, Held::No);
        history.begin_drag(5.1);
        history.record(at(0.3), Change::Epsilon, 8.0, Held::Yes);
        assert_eq!(history.undo(at(0.4)), Some(at(0.2)));
        assert_eq!(history.undo(at(0.2)), Some(at(0.1)));
    }

    #[test]
    fn a_new_change_ends_redo() {
        let mut history = History::default();
        history.record(at(0.1), Change::Epsilon, 0.0, Held::No);
        assert_eq!(history.undo(at(0.2)), Some(at(0.1)));
        assert!(history.can_redo());
        history.record(at(0.1), Change::View, 1.0, Held::No);
        assert!(!history.can_redo());
    }

    #[test]
    fn one_drag_is_one_change_however_slow_and_two_drags_are_two() {
        let mut history = History::default();
        history.record(at(0.1), Change::View, 1.1, Held::Since(1.0));
        history.record(at(0.2), Change::View, 9.0, Held::Since(1.0));
        history.record(at(0.3), Change::View, 9.3, Held::Since(9.2));
        assert_eq!(history.undo(at(0.4)), Some(at(0.3)));
        assert_eq!(history.undo(at(0.3)), Some(at(0.1)));
        assert!(!history.can_undo());
    }

    #[test]
    fn another_plane_keeps_how_it_is_turned_and_another_file_its_window() {
        let turned = Orientation { transposed: true, ..Orientation::default() };
        let of = |file: &str, axis| Some((Some(PathBuf::from(file)), axis));
        let [axial, coronal, _] = Axis::ALL;
        let before = Snapshot { place: of("ct", axial), ..at(0.1) };
        let mut now = Snapshot { place: of("ct", coronal), ..at(0.2) };
        now.view.orientation = turned;
        now.view.window = [0.4, 0.6];
        let (view, _) = before.seen_from(&now);
        assert_eq!((view.orientation, view.window), (turned, before.view.window));
        let (view, _) = before.seen_from(&Snapshot { place: of("mr", axial), ..now.clone() });
        assert_eq!((view.orientation, view.window), (turned, [0.4, 0.6]));
        now.place = before.place.clone();
        assert_eq!(before.seen_from(&now).0, before.view);
    }
}
