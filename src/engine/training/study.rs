//! The papers' studies.

use super::run::text;
use super::{Shared, StudyStop, StudyWish, TrainNews};
use crate::study::paper::{self, StudyError, StudyOptions};
use crate::study::report::check_writable;
use crate::train::{Control, Unit};

/// What it will cost: takes a few steps of a training.
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
    Ok(StudyOptions {
        data: wish.data.clone(),
        by: wish.by.clone(),
        out: wish.out.clone(),
        scale: wish.scale,
        epochs: wish.epochs,
        seeds: wish.seeds,
        unseen: wish.unseen.clone(),
        resume: wish.resume,
        device: backend.device,
        device_name: backend.info.description,
        command: command(wish),
        control,
    })
}

/// The command that does the same.
fn command(wish: &StudyWish) -> String {
    let mut words = vec!["epsiloscope study".to_owned(), wish.name.clone()];
    for table in &wish.data {
        words.extend(match (&table.path, &table.image, &table.label) {
            (Some(path), ..) => Some(format!("--data {}", path.display())),
            (None, Some(image), Some(label)) => {
                Some(format!("--image {} --label {}", image.display(), label.display()))
            }
            _ => None,
        });
    }
    words.extend(wish.by.iter().map(|by| match by {
        Unit::Group => "--by group".to_owned(),
        Unit::Slice => "--by slice".to_owned(),
    }));
    words.extend(wish.data.iter().find_map(|table| Some(format!("--label-map {}", table.label_map.as_ref()?))));
    words.extend(match wish.scale {
        paper::Scale::Quick => Some("--quick".to_owned()),
        paper::Scale::Cpu => None,
        paper::Scale::Paper => Some("--paper".to_owned()),
    });
    words.extend(wish.epochs.map(|epochs| format!("--epochs {epochs}")));
    words.extend(wish.seeds.map(|seeds| format!("--seeds {seeds}")));
    words.extend(wish.unseen.as_ref().map(|path| format!("--unseen {}", path.display())));
    words.push(format!("--out {}", wish.out.display()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::DataTable;

    #[test]
    fn the_command_says_all_that_was_wished_for() {
        let table = |path: &str| DataTable {
            path: Some(path.into()),
            label_map: Some("0=a,255=b".to_owned()),
            ..DataTable::default()
        };
        let wish = StudyWish {
            name: "inverse-fgsm".to_owned(),
            data: vec![table("cells"), table("ct")],
            by: vec![Unit::Slice, Unit::Group],
            scale: paper::Scale::Quick,
            epochs: Some(7),
            seeds: Some(5),
            unseen: None,
            resume: true,
            out: "report".into(),
            device: crate::engine::DeviceChoice::default(),
        };
        assert_eq!(
            command(&wish),
            "epsiloscope study inverse-fgsm --data cells --data ct --by slice --by group --label-map 0=a,255=b --quick --epochs 7 --seeds 5 --out report"
        );
    }
}
