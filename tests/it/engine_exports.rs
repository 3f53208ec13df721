//! What the engine writes: adversarial images and volumes, masks, views and curves.

use crate::engine::{engine, failure, frame_at, wait};
use epsiloscope::attack::Attack;
use epsiloscope::engine::{Event, Export, FigureWish, JobState, Request};
use epsiloscope::study::report::Criterion;
use epsiloscope::study::SweepPlan;

#[test]
fn a_saved_adversarial_image_is_read_back_and_judged() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    engine.send(Request::Attack(Attack::FGSM));
    for (level, survives) in [(8.0, true), (0.25, false)] {
        engine.send(Request::Epsilon(level / 255.0));
        let frame = frame_at(&engine, level / 255.0);
        let path = folder.path().join(format!("adversarial-{level}.png"));
        engine.send(Request::Export(Export::Adversarial(path.clone())));
        let report = wait(&engine, |e| match e {
            Event::Exported(report) => Some(report),
            Event::Failed(problem) => panic!("{problem:?}"),
            _ => None,
        });
        let saved = report.saved.unwrap();
        assert_eq!(saved.before, frame.adversarial_measure);
        // A quarter of a grey level rounds away; eight are exact.
        assert_eq!(saved.after.distortion.linf > 1e-3, survives, "{saved:?}");
        assert!(image::open(&path).is_ok());
    }
    let nowhere = folder.path().join("no such folder").join("x.png");
    engine.send(Request::Export(Export::Adversarial(nowhere)));
    let why = failure(&engine);
    assert!(why.contains("no such folder"), "{why}");
}

#[test]
fn views_and_curves_are_written() {
    let engine = engine();
    let plan = SweepPlan::exactly(vec![0.0, 4.0 / 255.0, 16.0 / 255.0]);
    frame_at(&engine, 4.0 / 255.0);
    engine.send(Request::Sweep(plan));
    wait(&engine, |e| matches!(e, Event::Job(s) if s.state == JobState::Finished && s.total == 3).then_some(()));
    let folder = tempfile::tempdir().unwrap();
    let [csv, svg, png, views] = ["curve.csv", "curve.svg", "curve.png", "views.png"].map(|n| folder.path().join(n));
    let judged = FigureWish {
        criterion: Criterion::PixelError(0.03),
        limit: Some("ssim:0.9".parse().unwrap()),
        threshold: None,
        distance_mm: Some(600.0),
    };
    for wish in [
        Export::CurveCsv(csv.clone()),
        Export::CurveFigure(svg.clone(), Box::new(judged)),
        Export::CurveFigure(png.clone(), Box::default()),
        Export::Views(views.clone()),
    ] {
        engine.send(Request::Export(wish));
        wait(&engine, |e| match e {
            Event::Exported(report) => {
                assert_eq!(report.saved, None);
                Some(())
            }
            Event::Failed(problem) => panic!("{problem:?}"),
            _ => None,
        });
    }
    let rows = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(rows.lines().count(), 1 + 3 + 3, "{rows}");
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("more than 3 % of the pixels wrong"), "the chosen criterion");
    assert!(drawn.contains("Not seen (SSIM at least 0.9)") && drawn.contains("at 600 mm"), "limit and distance");
    assert!(image::open(&png).unwrap().width() > 500);
    assert!(image::open(&views).unwrap().width() > 700);
}

#[test]
fn an_export_is_of_the_epsilon_that_was_wished_for_before_it() {
    let engine = engine();
    frame_at(&engine, 4.0 / 255.0);
    let folder = tempfile::tempdir().unwrap();
    engine.send(Request::Epsilon(16.0 / 255.0));
    engine.send(Request::Export(Export::Adversarial(folder.path().join("a.png"))));
    let saved = wait(&engine, |e| match e {
        Event::Exported(report) => report.saved,
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert!((saved.after.distortion.linf - 16.0 / 255.0).abs() < 1e-6, "{saved:?}");
}

#[test]
fn a_volume_is_attacked_slice_by_slice_and_keeps_its_place() {
    use epsiloscope::data::{Made, open, synthetic::lumbar_ct, write_stack};
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let ct = lumbar_ct(2, 48, 2).unwrap();
    write_stack(&path("ct.nii.gz"), &ct, &Made::default()).unwrap();
    engine.send(Request::Open { image: path("ct.nii.gz"), label: None, slice: Some(0) });
    let case = wait(&engine, |e| match e {
        Event::Case(case) if case.slices == 2 => Some(case),
        _ => None,
    });
    let export = |wish: Export| {
        engine.send(Request::Export(wish));
        wait(&engine, |e| match e {
            Event::Exported(report) => Some(report),
            Event::Failed(problem) => panic!("{problem:?}"),
            _ => None,
        })
    };
    let never = std::sync::atomic::AtomicBool::new(false);
    let read = |name: &str| open(&path(name), &never).unwrap();
    let values = |name: &str| -> Vec<f32> {
        let stack = read(name);
        (0..stack.slices).flat_map(|slice| stack.slice(slice).unwrap().pixels.to_vec()).collect()
    };

    let saved = export(Export::AdversarialVolume(path("volume.nii.gz"))).volume.unwrap();
    assert_eq!(saved.slices, 2);
    assert!(saved.clean_dice > 0.99 && saved.before_dice < saved.clean_dice, "{saved:?}");
    assert_eq!(read("volume.nii.gz").about.affine, read("ct.nii.gz").about.affine);
    let changed =
        values("volume.nii.gz").iter().zip(values("ct.nii.gz")).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    // Whole Hounsfield units.
    let most = 4.0 / 255.0 * case.bounds.width();
    assert!(changed > 0.5 * most && changed <= most + 0.5, "{changed} of {most}");

    export(Export::PredictedMask(path("mask.nii.gz")));
    assert!(values("mask.nii.gz").iter().all(|&v| v == 0.0 || v == 1.0));
    assert_eq!(read("mask.nii.gz").about.axes(), ct.about.axes());
    export(Export::PredictedMask(path("mask.png")));
    assert!(values("mask.png").contains(&255.0));
    assert!(export(Export::Adversarial(path("slice.dcm"))).saved.is_some());
    assert_eq!(read("slice.dcm").about.spacing, ct.about.spacing);

    engine.send(Request::Export(Export::AdversarialVolume(path("volume.png"))));
    assert!(failure(&engine).contains("one slice only"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "nothing half-written is left");
}
