//! The papers' studies.

use super::run::text;
use super::{Shared, StudyStop, StudyWish, TrainNews};
use crate::study::paper::{self, StudyError, StudyOptions};
use crate::study::report::check_writable;
use crate::train::{Control, Unit};

/// What it will cost: takes a step of a training.
pub(super) fn price(shared: &Shared, wish: &StudyWish) -> Result<String, String> {
    paper::price(&wish.name, &options(shared, wish, Control::default())?).map_err(text)
}

pub(super) fn study(shared: &Shared, control: &Control, wish: StudyWish) -> Result<(), String> {
    check_writable(&wish.out).map_err(|e| e.to_string())?;
    let options = options(shared, &wish, control.clone())?;
    let name = wish.name.clone();
    shared.tell(TrainNews::StudyStarted(Box::new(wish)));
    let ended = paper::run(&name, &options, &mut |line, share| {
        shared.tell(TrainNews::StudyLine { line: line.to_owned(), share });
    });
    shared.end(control);
    match ended {
        Ok(report) => shared.tell(TrainNews::StudyEnded(Ok(report))),
        Err(StudyError::Cancelled) => shared.tell(TrainNews::StudyEnded(Err(StudyStop::Cancelled))),
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}

fn options(shared: &Shared, wish: &StudyWish, control: Control) -> Result<StudyOptions, String> {
    let backend = (shared.backends)(wish.device)?;
    let data: Vec<String> = wish
        .data
        .iter()
        .map(|table| match (&table.path, &table.image, &table.label) {
            (Some(path), ..) => format!(" --data {}", path.display()),
            (None, Some(image), Some(label)) => format!(" --image {} --label {}", image.display(), label.display()),
            _ => String::new(),
        })
        .collect();
    let scale = match wish.scale {
        paper::Scale::Quick => " --quick",
        paper::Scale::Cpu => "",
        paper::Scale::Paper => " --paper",
    };
    let by = match wish.by {
        Some(Unit::Group) => " --by group",
        Some(Unit::Slice) => " --by slice",
        None => "",
    };
    let unseen = wish.unseen.as_ref().map_or_else(String::new, |path| format!(" --unseen {}", path.display()));
    Ok(StudyOptions {
        data: wish.data.clone(),
        by: wish.by.into_iter().collect(),
        out: wish.out.clone(),
        scale: wish.scale,
        epochs: None,
        seeds: None,
        unseen: wish.unseen.clone(),
        resume: wish.resume,
        device: backend.device,
        device_name: backend.info.description,
        command: format!(
            "epsiloscope study {}{}{scale} --out {}",
            wish.name,
            data.concat() + by + &unseen,
            wish.out.display()
        ),
        control,
    })
}
