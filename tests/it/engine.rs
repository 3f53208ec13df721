//! The engine without a window: wishes in, facts out, and nothing good is lost when something fails.

use epsiloscope::attack::Reference;
use epsiloscope::data::{Bounds, LabelMap};
use epsiloscope::engine::{Backend, DeviceInfo, Engine, Event, Export, Frame, JobState, Request, Series, host_plane};
use epsiloscope::gpu::DeviceChoice;
use epsiloscope::study::SweepPlan;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn engine() -> Engine {
    let backends = Arc::new(|choice: DeviceChoice| {
        let info = DeviceInfo { choice, description: "CPU (Flex)".to_owned(), shared: false, tunes: false };
        Ok(Backend { device: burn::tensor::Device::flex(), info, publish: Arc::new(host_plane) })
    });
    let engine = Engine::start(DeviceChoice::Cpu, backends, Arc::new(|| ())).unwrap();
    engine.send(Request::OpenSample);
    engine
}

/// How long anything may take: generous, since a test says what comes, not how fast.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The first event that `wanted` accepts, within [`LIMIT`].
pub fn wait<T>(engine: &Engine, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(found) = engine.wait(Duration::from_secs(1)).and_then(&mut wanted) {
            return found;
        }
    }
    panic!("nothing of the kind within {LIMIT:?}");
}

pub fn frame_at(engine: &Engine, epsilon: f64) -> Arc<Frame> {
    wait(engine, |e| match e {
        Event::Frame(f) if f.epsilon == epsilon => Some(f),
        _ => None,
    })
}

pub fn failure(engine: &Engine) -> String {
    wait(engine, |e| match e {
        Event::Failed(problem) => Some(problem.why),
        _ => None,
    })
}

fn host(plane: &epsiloscope::engine::Plane) -> Vec<f32> {
    match &plane.storage {
        epsiloscope::engine::Storage::Host(values) => values.to_vec(),
        epsiloscope::engine::Storage::Shared(_) => panic!("not on the host"),
    }
}

#[test]
fn a_slider_tick_gives_pictures_that_keep_to_epsilon() {
    let engine = engine();
    engine.send(Request::Epsilon(8.0 / 255.0));
    let frame = frame_at(&engine, 8.0 / 255.0);
    let (original, noise, adversarial) = (host(&frame.original), host(&frame.noise), host(&frame.adversarial));
    let most = noise.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!((most - 8.0 / 255.0).abs() < 1e-6, "‖noise‖∞ is {most}");
    for ((o, n), a) in original.iter().zip(&noise).zip(&adversarial) {
        assert!((o + n - a).abs() < 1e-6 && (0.0..=1.0).contains(a));
    }
    assert!(frame.adversarial_measure.overlap.dice < frame.clean.overlap.dice);
    engine.send(Request::Epsilon(0.0));
    let clean = frame_at(&engine, 0.0);
    assert_eq!(clean.adversarial_measure.overlap, clean.clean.overlap);
    assert_eq!(clean.original.id, frame.original.id, "what does not depend on ε is not made again");
    assert_eq!(clean.generation, frame.generation);
}

#[test]
fn the_curve_fills_in_on_its_own_with_its_control() {
    let engine = engine();
    let mut counts = [0, 0];
    let mut dice_at_4 = [None, None];
    wait(&engine, |e| match e {
        Event::CurvePoint { series, point, .. } => {
            let at = usize::from(series == Series::Control);
            counts[at] += 1;
            if (point.epsilon - 4.0 / 255.0).abs() < 1e-12 {
                dice_at_4[at] = Some(point.measure.overlap.dice);
            }
            None
        }
        Event::Job(status) if status.state == JobState::Finished => Some(()),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert!(counts[0] >= 11 && counts[0] == counts[1], "{counts:?}");
    let (attack, control) = (dice_at_4[0].unwrap(), dice_at_4[1].unwrap());
    println!("membrane Dice of the sample at 4/255: FGSM {attack:.3}, random sign {control:.3}");
    assert!(attack < control - 0.18, "FGSM {attack}, random sign {control}");
}

#[test]
fn a_bad_file_is_a_message_and_the_picture_stays() {
    let engine = engine();
    let first = frame_at(&engine, 4.0 / 255.0);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("notes.png");
    std::fs::write(&bad, "not a picture").unwrap();
    engine.send(Request::Open { image: bad, label: None, slice: Some(0) });
    let why = failure(&engine);
    assert!(why.contains("notes.png"), "{why}");
    engine.send(Request::OpenModel(folder.path().join("none.safetensors")));
    let why = failure(&engine);
    assert!(why.contains("none.safetensors"), "{why}");
    engine.send(Request::Epsilon(0.01));
    let frame = frame_at(&engine, 0.01);
    assert_eq!(frame.original.id, first.original.id);
}

#[test]
fn labels_are_guessed_set_and_closed() {
    let engine = engine();
    let mut infos = Vec::new();
    let info = wait(&engine, |e| match e {
        Event::Case(info) => Some(info),
        _ => None,
    });
    assert_eq!(info.reference, Reference::Label);
    assert!(info.label_map_guessed);
    assert_eq!(info.label_map, Some(LabelMap { entries: vec![(0, 1), (255, 0)] }), "0 is membrane, 255 is cell");
    infos.push(info);
    frame_at(&engine, 4.0 / 255.0);
    engine.send(Request::LabelMap(Some(LabelMap { entries: vec![(0, 0), (255, 1)] })));
    let frame = frame_at(&engine, 4.0 / 255.0);
    assert!(frame.clean.overlap.dice < 0.5, "with the classes swapped the model is wrong nearly everywhere");
    engine.send(Request::CloseLabel);
    let info = wait(&engine, |e| match e {
        Event::Case(info) if info.reference == Reference::CleanPrediction => Some(info),
        _ => None,
    });
    assert_eq!(info.label_map, None);
    let frame = frame_at(&engine, 4.0 / 255.0);
    assert_eq!(frame.clean.overlap.dice, 1.0, "the clean prediction agrees with itself");
}

#[test]
fn a_job_pauses_goes_on_and_is_cancelled() {
    let engine = engine();
    let state = |wanted: JobState| {
        wait(&engine, |e| match e {
            Event::Job(status) if status.state == wanted => Some(status),
            _ => None,
        })
    };
    state(JobState::Running);
    engine.send(Request::PauseJob(true));
    let paused = state(JobState::Paused);
    engine.send(Request::PauseJob(false));
    state(JobState::Running);
    engine.send(Request::CancelJob);
    let cancelled = state(JobState::Cancelled);
    assert!(cancelled.done >= paused.done);
    engine.send(Request::Sweep(SweepPlan::exactly(vec![0.0, 0.5])));
    let finished = state(JobState::Finished);
    assert_eq!((finished.done, finished.total), (2, 2));
}

/// Writes a stack of `pages`, 8 bits, `side` × `side`.
fn write_stack(path: &std::path::Path, side: u32, pages: &[Vec<u8>]) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = tiff::encoder::TiffEncoder::new(file).unwrap();
    for page in pages {
        encoder.write_image::<tiff::encoder::colortype::Gray8>(side, side, page).unwrap();
    }
}

#[test]
fn a_guess_holds_for_all_slices_and_an_unlabelled_slice_says_so() {
    let sample = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join(name);
        image::open(path).unwrap().into_luma8().into_raw()
    };
    let (section, mask) = (sample("membranes.png"), sample("membranes-mask.png"));
    // On the second slice the mask is turned round, so that a guess from it alone would turn the classes round too; on
    // the third nothing is labelled.
    let turned: Vec<u8> = mask.iter().map(|v| 255 - v).collect();
    let folder = tempfile::tempdir().unwrap();
    let [image, label] = ["stack.tif", "labels.tif"].map(|n| folder.path().join(n));
    write_stack(&image, 256, &[section.clone(), section.clone(), section]);
    write_stack(&label, 256, &[mask, turned, vec![128; 256 * 256]]);
    let engine = engine();
    let case = |slice: usize| {
        wait(&engine, |e| match e {
            Event::Case(info) if info.slices == 3 && info.slice == slice => Some(info),
            Event::Failed(problem) => panic!("{problem:?}"),
            _ => None,
        })
    };
    engine.send(Request::Open { image, label: Some(label), slice: Some(0) });
    let first = case(0);
    assert!(first.label_map_guessed);
    let map = first.label_map.clone().unwrap();
    assert_eq!([0, 255].map(|v| map.class_of(v)), [1, 0], "membrane, cell");
    engine.send(Request::Slice(1));
    assert_eq!(case(1).label_map, first.label_map, "the classes were turned round");
    let sparse = LabelMap { entries: vec![(0, 1), (255, 0)] };
    engine.send(Request::LabelMap(Some(sparse)));
    engine.send(Request::Slice(2));
    let unlabelled = case(2);
    assert!(unlabelled.label_is_empty);
    assert_eq!(unlabelled.reference, Reference::CleanPrediction);
}

#[test]
fn bounds_can_be_set_and_impossible_ones_are_refused() {
    let engine = engine();
    frame_at(&engine, 4.0 / 255.0);
    let bounds = Bounds { lower: 50.0, upper: 200.0 };
    engine.send(Request::Bounds(bounds));
    let info = wait(&engine, |e| match e {
        Event::Case(info) if info.bounds == bounds => Some(info),
        _ => None,
    });
    assert_eq!(info.image.range(), Some(bounds), "clipped to the bounds");
    engine.send(Request::Bounds(Bounds { lower: 7.0, upper: 7.0 }));
    let why = failure(&engine);
    assert!(why.contains("bounds 7 to 7"), "{why}");
}

#[test]
fn a_label_waits_for_the_image_that_is_being_read_and_an_open_file_is_never_overwritten() {
    let sample = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join(name);
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("cells.png");
    std::fs::copy(sample("membranes-2.png"), &image).unwrap();
    let engine = engine();
    engine.send(Request::Open { image: image.clone(), label: None, slice: Some(0) });
    engine.send(Request::OpenLabel(sample("membranes-2-mask.png")));
    let labelled = wait(&engine, |e| match e {
        Event::Case(info) if info.label_path.is_some() => Some(info),
        Event::Failed(problem) => panic!("{problem:?}"),
        _ => None,
    });
    assert_eq!(labelled.path.as_deref(), Some(image.as_path()));
    let before = std::fs::read(&image).unwrap();
    engine.send(Request::Export(Export::Adversarial(image.clone())));
    let why = failure(&engine);
    assert!(why.contains("this file is open"), "{why}");
    assert_eq!(std::fs::read(&image).unwrap(), before);
}

#[test]
fn what_cannot_be_computed_leaves_the_last_picture_with_its_name() {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = broken.clone();
    let backends = Arc::new(move |choice: DeviceChoice| {
        if choice == DeviceChoice::Gpu {
            return Err("no such GPU".to_owned());
        }
        let info = DeviceInfo { choice, description: "a device that fails".to_owned(), shared: false, tunes: false };
        let seen = seen.clone();
        let publish = Arc::new(move |tensor| {
            if seen.load(std::sync::atomic::Ordering::Relaxed) {
                Err("out of memory".to_owned())
            } else {
                host_plane(tensor)
            }
        });
        Ok(Backend { device: burn::tensor::Device::flex(), info, publish })
    });
    // A device that is not there: the program starts on the CPU and says why.
    let engine = Engine::start(DeviceChoice::Gpu, backends, Arc::new(|| ())).unwrap();
    let why = failure(&engine);
    assert!(why.contains("no such GPU") && why.contains("CPU"), "{why}");
    engine.send(Request::OpenSample);
    let first = frame_at(&engine, 4.0 / 255.0);
    broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let other = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data").join("membranes-3.png");
    engine.send(Request::Open { image: other.clone(), label: None, slice: Some(0) });
    let mut names = Vec::new();
    let again = wait(&engine, |e| match e {
        Event::Case(info) => {
            names.push(info.path.clone());
            None
        }
        Event::Frame(frame) => Some(frame),
        _ => None,
    });
    assert_eq!(names, [Some(other), None], "the sample is shown again");
    assert_eq!((again.generation, again.original.id), (first.generation, first.original.id));
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    engine.send(Request::Epsilon(9.0 / 255.0));
    let next = frame_at(&engine, 9.0 / 255.0);
    assert_eq!(
        (next.generation, next.original.id),
        (first.generation, first.original.id),
        "ticks go on with the sample"
    );
    engine.send(Request::Device(DeviceChoice::Gpu));
    assert!(failure(&engine).contains("no such GPU"));
    engine.send(Request::Epsilon(3.0 / 255.0));
    assert_eq!(frame_at(&engine, 3.0 / 255.0).generation, first.generation);
}
