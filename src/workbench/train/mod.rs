//! Training in the window. `draft` is what is going to be trained, `state` what is known of what runs, `panel` draws it: the form (`form`, `data_form`,
//! `adversarial_form`, of lines made by `rows`), what runs (`live`, with `pictures`), and the papers' studies (`study_page`, with `pace`).
//! `apply` is what commands and news change. What is edited is the recipe's own type, so that window, file and command line
//! cannot drift apart.

mod adversarial_form;
mod apply;
mod data_form;
mod draft;
mod form;
mod live;
mod pace;
mod panel;
mod pictures;
mod rows;
mod state;
mod study_page;

pub use apply::{TrainCommand, TrainPath};
pub use draft::{Parted, StudyDraft, StudySet, TrainDraft, TrainPage, folder_of};
pub use pace::Pace;
pub use panel::TrainPanel;
pub use state::{LiveStudy, LiveTraining, TrainPhase, Training};
