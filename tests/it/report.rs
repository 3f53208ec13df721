//! What reports are made of: the table, the figure, when a model counts as broken, the folder.

use epsiloscope::attack::Attack;
use epsiloscope::data::{self, Case, LabelStack};
use epsiloscope::gpu::Compute;
use epsiloscope::metric::{Distortion, Overlap, PixelError};
use epsiloscope::model::BuiltIn;
use epsiloscope::study::report::{
    COLUMNS, Conditions, Criterion, Figure, Provenance, Settings, Verdict, broken_intervals, build_report, curve_csv,
    rasterise, verdicts, write_curve_csv, write_figure,
};
use epsiloscope::study::{
    Adversary, Curve, CurvePoint, Measure, Seen, SeenMetric, SeenPlan, Subject, SweepPlan, sweep,
};
use std::sync::Arc;

pub fn measure(dice: f64, epsilon: f64) -> Measure {
    let wrong = (1.0 - dice) / 2.0;
    Measure {
        error: PixelError { l2: wrong.sqrt() * 256.0, rmse: wrong.sqrt(), wrong, pixels: 65_536 },
        overlap: Overlap { dice, iou: dice / (2.0 - dice) },
        distortion: Distortion { linf: epsilon, l2: epsilon * 256.0, ..Distortion::default() },
        seen: Seen::default().with(SeenMetric::Ssim, 1.0 - epsilon),
        decision: None,
        flipped: None,
        wished: None,
        clipped: None,
        displacement: None,
    }
}

/// A curve from (ε, Dice of the attack, Dice of the control), clean Dice 0.9.
fn curve(points: &[(f64, f64, f64)]) -> Curve {
    let point = |epsilon, dice| CurvePoint { epsilon, measure: measure(dice, epsilon), seconds: 0.25 };
    Curve {
        attack: "fgsm".to_owned(),
        clean: measure(0.9, 0.0),
        points: points.iter().map(|&(e, attack, _)| point(e, attack)).collect(),
        control: points.iter().map(|&(e, _, control)| point(e, control)).collect(),
    }
}

#[test]
fn broken_is_a_union_of_measured_intervals() {
    let curve = curve(&[
        (0.0, 0.9, 0.9),
        (0.01, 0.6, 0.9),
        (0.02, 0.3, 0.9),
        (0.03, 0.2, 0.88),
        (0.04, 0.5, 0.85),
        (0.05, 0.4, 0.8),
        (0.06, 0.1, 0.4),
    ]);
    let expected = [
        Verdict::Holds,
        Verdict::Holds,
        Verdict::Broken,
        Verdict::Broken,
        Verdict::Holds,
        Verdict::Broken,
        Verdict::NoiseToo,
    ];
    let half = Criterion::ShareOfCleanDice(0.5);
    assert_eq!(verdicts(&curve, half), expected);
    let intervals = broken_intervals(&curve, half);
    let spans: Vec<_> = intervals.iter().map(|i| (i.below, i.first, i.last, i.points, i.above)).collect();
    assert_eq!(spans, [(Some(0.01), 0.02, 0.03, 2, Some(0.04)), (Some(0.04), 0.05, 0.05, 1, Some(0.06))]);
    // A stricter criterion breaks earlier; one that the clean image fails says nothing.
    assert_eq!(broken_intervals(&curve, "0.7".parse().unwrap())[0].first, 0.01);
    assert!(verdicts(&curve, Criterion::Dice(0.95)).iter().all(|v| *v == Verdict::CleanFails));
    // A model that misses most of it has nothing to lose, whatever its share of that.
    let mut useless = curve.clone();
    for dice in [0.0, 0.49] {
        useless.clean.overlap.dice = dice;
        assert!(verdicts(&useless, half).iter().all(|v| *v == Verdict::CleanFails), "clean Dice {dice}");
    }
    useless.clean.overlap.dice = 0.5;
    assert!(!verdicts(&useless, half).contains(&Verdict::CleanFails));
    let mut alone = curve;
    alone.control.clear();
    assert_eq!(verdicts(&alone, half)[2], Verdict::NoControl);
    assert!(broken_intervals(&alone, half).is_empty());
}

#[test]
fn criteria_are_read() {
    assert_eq!("75%".parse(), Ok(Criterion::default()));
    assert_eq!(Criterion::ShareOfCleanDice(0.07).to_string(), "Dice below 7 % of the clean Dice");
    for text in ["70%", "0.7", "error:0.1", "flipped:0.25"] {
        assert_eq!(text.parse::<Criterion>().unwrap().to_text(), text);
    }
    assert_eq!(" 0.7 ".parse(), Ok(Criterion::Dice(0.7)));
    let (error, flipped): (Criterion, Criterion) = ("error:0.2".parse().unwrap(), "flipped:0.1".parse().unwrap());
    let clean = measure(0.9, 0.0);
    // Of Dice 0.9 and 0.5 this test's pixels are wrong to 5 and 25 %.
    assert!(!error.fails(&clean, &clean) && error.fails(&clean, &measure(0.5, 0.1)));
    let changed = |share| Measure { flipped: Some(share), ..measure(0.9, 0.1) };
    assert!(!flipped.fails(&clean, &changed(0.09)) && flipped.fails(&clean, &changed(0.1)));
    assert_eq!(flipped.to_string(), "at least 10 % of the pixels predicted otherwise than in the original");
    for text in ["", "0", "1.5", "150%", "nan", "half", "error:2", "flipped:"] {
        assert!(text.parse::<Criterion>().is_err(), "{text}");
    }
}

#[test]
fn the_table_has_the_clean_image_first_and_the_control_last() {
    let with_zero = curve(&[(0.0, 0.9, 0.9), (4.0 / 255.0, 0.4, 0.89)]);
    let without = curve(&[(4.0 / 255.0, 0.4, 0.89)]);
    for curve in [&with_zero, &without] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.csv");
        write_curve_csv(curve, &path).unwrap();
        let mut reader = csv::Reader::from_path(path).unwrap();
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let keys: Vec<(&str, f64)> = rows.iter().map(|r| (&r[0], r[1].parse().unwrap())).collect();
        assert_eq!(keys, [("fgsm", 0.0), ("fgsm", 4.0 / 255.0), ("random-sign", 0.0), ("random-sign", 4.0 / 255.0)]);
        let dice: Vec<f64> = rows.iter().map(|r| r[5].parse().unwrap()).collect();
        assert_eq!(dice, [0.9, 0.4, 0.9, 0.89]);
        // Numbers survive the text exactly.
        assert_eq!(rows[1][2].parse(), Ok(curve.points.last().unwrap().measure.error.l2));
        assert_eq!(&rows[1][9], "0.250000");
        let [psnr, ssim] =
            ["shown_psnr", "shown_ssim"].map(|n| &rows[1][COLUMNS.iter().position(|c| *c == n).unwrap()]);
        assert_eq!((psnr, ssim), ("", (1.0 - 4.0 / 255.0).to_string().as_str()));
    }
    let control_alone = Curve { attack: "random-sign".to_owned(), ..with_zero };
    assert_eq!(curve_csv(&control_alone).lines().count(), 3, "the control is not written twice");
}

/// FGSM on cells, judged by default, not seen up to `limit`.
fn conditions(limit: Option<&str>) -> Conditions {
    Conditions {
        model: "membranes-unet".to_owned(),
        image: "cells".to_owned(),
        attack: "FGSM".to_owned(),
        control: "random signs of the same ε".to_owned(),
        seed: 5,
        bounds: data::Bounds::EIGHT_BIT,
        stored: "8-bit integers".to_owned(),
        criterion: Criterion::Dice(0.7),
        limit: limit.map(|text| text.parse().unwrap()),
        seen: SeenPlan::default(),
        distance_mm: None,
    }
}

#[test]
fn a_figure_shades_what_is_broken_what_is_not_seen_and_both() {
    let level = |l: f64| l / 255.0;
    let curve = curve(&[
        (0.0, 0.9, 0.9),
        (level(1.0), 0.8, 0.9),
        (level(2.0), 0.6, 0.9),
        (level(4.0), 0.75, 0.9),
        (level(8.0), 0.5, 0.9),
        (level(16.0), 0.3, 0.85),
        (level(64.0), 0.1, 0.4),
    ]);
    // SSIM here is 1 − ε: up to 8/255 it is at least 0.96.
    let figure = Figure { subtitle: "membranes-unet on cells".to_owned(), ..Figure::of(&curve) };
    let svg = figure.under(&conditions(Some("ssim:0.96"))).svg();
    // At 64 random signs break it too, and between 2 and 8 it holds: a union.
    for part in [
        "Broken (Dice below 0.7; random signs are not): ε = 2/255 (0.00784), 8/255 (0.0314) to 16/255 (0.0627)",
        "Not seen (SSIM at least 0.96): ε = 1/255 (0.00392) or less to 8/255 (0.0314)",
        "ε window, broken and not seen: ε = 2/255 (0.00784), 8/255 (0.0314)",
        "random sign",
        "limit 0.96",
        "seed 5",
        "8 bits",
        "67 pixels a degree",
        "window 0 to 255",
    ] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    let count = |class: &str| svg.matches(&format!("class=\"{class}\"")).count();
    // A strip for each interval; shading in both plots and in that of SSIM.
    assert_eq!([count("fig-stripbroken"), count("fig-stripunseen"), count("fig-stripboth")], [2, 1, 2]);
    assert_eq!([count("fig-bandbroken"), count("fig-bandunseen"), count("fig-bandboth")], [6, 3, 6]);
    for kind in ["broken", "unseen", "both"] {
        assert!(svg.contains(&format!("url(#hatch-{kind})")), "told apart without colours: {kind}");
    }
    rasterise(&svg, 1.0).unwrap();
    let empty = Figure::of(&curve).under(&conditions(Some("ssim:0.999"))).svg();
    assert!(empty.contains("ε window: empty. There is no ε that breaks the model and is not seen"), "{empty}");
    let without = Figure::of(&curve).under(&conditions(None)).svg();
    assert!(without.contains("fig-stripbroken") && !without.contains("class=\"fig-stripunseen\""));
    assert!(without.contains("usual limit 0.98"), "SSIM was measured all the same");
}

#[test]
fn texts_of_a_figure_stay_apart() {
    let curve = curve(&[(0.0, 0.9, 0.9), (1.0 / 255.0, 0.7, 0.9), (32.0 / 255.0, 0.2, 0.8)]);
    let long = Conditions { image: "a very long name of an image ".repeat(12), ..conditions(Some("ssim:0.95")) };
    let subtitle = "and a long subtitle of it ".repeat(9);
    let svg = Figure { subtitle, ..Figure::of(&curve).under(&long) }.svg();
    // Lines of words at the left end: never two at one height, and none beyond the picture.
    let number = |tag: &str, name: &str| -> Option<f64> {
        tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.parse().ok()
    };
    let mut heights: Vec<f64> = svg
        .split("<text ")
        .skip(1)
        .filter(|tag| number(tag, "x") == Some(92.0) && !tag.contains("text-anchor"))
        .filter_map(|tag| number(tag, "y"))
        .collect();
    heights.sort_by(f64::total_cmp);
    assert!(heights.len() > 10 && heights.windows(2).all(|w| w[1] - w[0] > 15.0), "{heights:?}");
    let height: f64 = number(&svg, "height").unwrap();
    assert!(heights.last().is_some_and(|y| *y < height), "{heights:?} of {height}");
    let longest = svg.split("<text ").skip(1).filter_map(|t| t.split('>').nth(1)?.split('<').next());
    assert!(longest.map(|t| t.chars().count()).max().unwrap() <= 125, "no line runs out of the picture");
}

#[test]
fn figures_are_written_by_their_ending() {
    let curve = curve(&[(0.0, 0.9, 0.9), (1.0 / 255.0, 0.7, 0.9), (32.0 / 255.0, 0.2, 0.8)]);
    let folder = tempfile::tempdir().unwrap();
    let [svg, png, other] = ["a.svg", "a.PNG", "a.pdf"].map(|name| folder.path().join(name));
    write_figure(&curve, "membranes-unet on cells", &conditions(None), None, &svg).unwrap();
    write_figure(&curve, "", &conditions(None), None, &png).unwrap();
    let message = write_figure(&curve, "", &conditions(None), None, &other).unwrap_err().to_string();
    assert!(message.contains("a.pdf") && message.contains(".svg"), "{message}");
    assert!(!other.exists());
    let text = std::fs::read_to_string(svg).unwrap();
    for part in ["Dice", "IoU", "RMSE", "random sign", "broken", "clean Dice 0.900", "fig-control"] {
        assert!(text.contains(part), "{part}");
    }
    let picture = image::open(png).unwrap().to_rgb8();
    assert_eq!(picture.width(), 2080);
    assert!(picture.height() > 1700, "{}", picture.height());
    // The first line's blue, the control's grey, and text in the title's row are really there.
    let has = |colour: [u8; 3]| picture.pixels().any(|p| p.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 4));
    assert!(has([0x00, 0x72, 0xb2]) && has([0xd5, 0x5e, 0x00]) && has([0x80, 0x86, 0x8b]));
    let title = (0..2080).flat_map(|x| (40..96).map(move |y| (x, y)));
    assert!(title.filter(|&(x, y)| picture.get_pixel(x, y).0[0] < 90).count() > 500, "no title was drawn");
}

#[test]
fn figures_take_any_curve() {
    for points in [
        vec![],
        vec![(0.0, 0.9, 0.9)],
        vec![(0.1, 0.5, 0.9)],
        vec![(0.0, 0.9, 0.9), (1.0, 0.0, 0.0)],
        vec![(1e-9, 0.9, 0.9), (1.0, 0.0, 0.5)],
        (0..100).map(|i| (f64::from(i) / 100.0, 0.5, 0.6)).collect(),
    ] {
        let curve = curve(&points);
        let figure = Figure { title: "a < b & \"c\"".to_owned(), ..Figure::of(&curve) };
        let svg = figure.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("a < b"), "{}", points.len());
        rasterise(&svg, 0.5).unwrap();
    }
}

#[test]
fn glyphs_of_the_field_are_drawn() {
    let ink = |text: &str| {
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><text x="8" y="44" font-size="36" font-family="Inter">{text}</text></svg>"#
        );
        rasterise(&svg, 1.0).unwrap().pixels().filter(|p| p.0[3] > 128).count()
    };
    for glyph in "εδ∇∞‖×−±·→√∈".chars() {
        assert!(ink(&glyph.to_string()) > 5, "{glyph} is missing in the font");
    }
    assert_eq!(ink(" "), 0);
}

#[test]
fn the_icon_is_its_drawing() {
    let drawn = rasterise(include_str!("../../assets/icon.svg"), 1.0).unwrap();
    let stored = image::load_from_memory(include_bytes!("../../assets/icon.png")).unwrap().to_rgba8();
    assert_eq!(drawn.dimensions(), stored.dimensions());
    let far = drawn.pixels().zip(stored.pixels()).filter(|(a, b)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 40));
    assert!(far.count() < 300, "assets/icon.png is not assets/icon.svg");
}

/// The bundled sample on the bundled model, cut to 64² so that it is quick.
fn subject(labelled: bool) -> Subject {
    let (stack, label) = data::bundled_sample().unwrap();
    let model = BuiltIn::bundled(&Compute::cpu(Default::default()).device).unwrap();
    let mut case = Case::from_slice(&stack, 0, "sample <b>&amp;</b>").unwrap();
    let size = 64;
    let cut = |i: usize| (i / size) * stack.width + i % size;
    case.image.pixels = (0..size * size).map(|i| case.image.pixels[cut(i)]).collect();
    (case.image.height, case.image.width) = (size, size);
    let plain = Subject::new(Arc::new(case), Arc::new(model)).unwrap();
    if labelled { plain.relabel(Some(small_mask(&label, size))).unwrap() } else { plain }
}

fn small_mask(label: &LabelStack, size: usize) -> data::Mask {
    let map = data::LabelMap { entries: vec![(0, 1), (255, 0)] };
    let whole = label.mask(0, &map).unwrap();
    let classes = (0..size * size).map(|i| whole.classes[(i / size) * whole.width + i % size]).collect();
    data::Mask { height: size, width: size, classes }
}

#[test]
fn a_report_is_one_file_that_needs_nothing_else() {
    let adversary = Arc::new(Adversary::new(Arc::new(subject(true)), Attack::FGSM).unwrap());
    let plan = SweepPlan::exactly(vec![0.0, 0.2 / 255.0, 8.0 / 255.0]);
    let curve = sweep(adversary.clone(), &plan, |_, _| ()).unwrap();
    let mut provenance = Provenance { command: "epsiloscope sweep '<i>'".to_owned(), ..Provenance::default() };
    provenance.add("image", "<script>alert(1)</script> & \"more\"");
    let notes = vec!["a note <u>".to_owned()];
    let settings = Settings { provenance, notes, ..Settings::default() };
    let mut told = Vec::new();
    let report = build_report(&adversary, &curve, settings, |done, total| told.push((done, total))).unwrap();
    assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
    let names: Vec<&str> = report.files.iter().map(|(name, _)| name.as_str()).collect();
    let panels = ["panel-00-epsilon-0.png", "panel-01-epsilon-0.000784.png", "panel-02-epsilon-0.0314.png"];
    assert_eq!(names[..3], panels);
    assert_eq!(names[3..], ["curve.csv", "conditions.toml", "curve.svg", "curve.png", "report.html"]);
    let html = String::from_utf8(report.files.last().unwrap().1.clone()).unwrap();
    for outside in ["http://", "https://", "src=\"/", "<link", "@import", "<script>alert", "<u>", "<i>", "<b>&amp;"] {
        assert!(!html.contains(outside), "{outside} in the report");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"));
    // An ε below half a grey level is gone once saved in 8 bits.
    let row = html.split("<tr").find(|row| row.contains("<th scope=\"row\">0.2/255")).unwrap();
    let clean = format!("{:.3}", curve.clean.overlap.dice);
    assert!(row.contains(&format!("<td>{clean}</td><td>")), "{row}");
    // A second run into the same folder replaces the first, its panels too.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/deep");
    report.write(&out).unwrap();
    std::fs::write(out.join("panel-07-epsilon-0.5.png"), "old").unwrap();
    std::fs::write(out.join("panel.png"), "of somebody else").unwrap();
    report.write(&out).unwrap();
    let mut found: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut expected: Vec<String> = names.iter().map(|n| (*n).to_owned()).chain(["panel.png".to_owned()]).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_report_says_what_its_numbers_cannot() {
    let adversary = Arc::new(Adversary::new(Arc::new(subject(false)), Attack::INVERSE_FGSM).unwrap());
    let curve = sweep(adversary.clone(), &SweepPlan::exactly(vec![0.0, 0.1]), |_, _| ()).unwrap();
    let report = build_report(&adversary, &curve, Settings::default(), |_, _| ()).unwrap();
    let html = String::from_utf8(report.files.last().unwrap().1.clone()).unwrap();
    assert!(html.contains("There is no label"), "the reference is named");
    assert!(html.contains("augmentation on training folds only"), "inverse FGSM reads the answer");
}

/// Height of each text of a figure with its words.
fn texts(svg: &str) -> Vec<(f64, String)> {
    let of = |part: &str| {
        let (head, rest) = part.split_once('>')?;
        let (_, y) = head.split_once(" y=\"")?;
        let y = y.split_once('"')?.0.parse().ok()?;
        Some((y, rest.split_once("</text>")?.0.to_owned()))
    };
    svg.split("<text ").skip(1).filter_map(of).collect()
}

#[test]
fn words_of_small_plots_have_lines_of_their_own() {
    let curve = curve(&[(0.0, 0.9, 0.9), (0.01, 0.6, 0.9), (0.02, 0.3, 0.9)]);
    let facts = vec!["Measured as 8 bits show it".to_owned()];
    let texts = texts(&Figure { facts, ..Figure::of(&curve) }.svg());
    let height = |words: &str| texts.iter().rfind(|(_, text)| text.contains(words)).unwrap().0;
    let [title, direction, limit, fact] = ["SSIM", "more visible", "usual limit", "Measured as"].map(height);
    assert!(direction - title > 100.0 && direction - limit >= 16.0, "{texts:?}");
    assert!(fact - direction >= 30.0, "{texts:?}");
}
