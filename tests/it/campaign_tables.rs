//! Tables of campaigns that an older version has written.

use crate::campaigns::{folder, plan};
use burn::tensor::Device;
use epsiloscope::attack::Attack;
use epsiloscope::study::campaign::{Headway, Summary, Table, run, run_watched};

/// The table of `whole` without the columns `left_out`.
fn without(whole: &str, left_out: &[&str]) -> String {
    let mut reader = csv::Reader::from_reader(whole.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let stays = |i: usize| !left_out.contains(&&headers[i]);
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut write = |row: &csv::StringRecord| {
        table.write_record(row.iter().enumerate().filter(|(i, _)| stays(*i)).map(|(_, cell)| cell)).unwrap();
    };
    write(&headers);
    reader.records().for_each(|row| write(&row.unwrap()));
    String::from_utf8(table.into_inner().unwrap()).unwrap()
}

#[test]
fn rows_of_an_older_version_are_read_where_what_they_lack_may_be_empty() {
    let device = Device::flex();
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let mut plan = plan(&images, &device);
    plan.attacks = vec![Attack::parse("bim", &["steps=2"]).unwrap()];
    let path = temporary.path().join("rows.csv");
    let mut table = Table::open(&path).unwrap();
    run(&plan, &mut table, |_, _| ()).unwrap();
    let (whole, count) = (std::fs::read_to_string(&path).unwrap(), table.rows().len());
    let step = ["one_step", "one_step_fails", "one_step_score", "one_step_as_wished"];
    let lost = [&step[..], &["shown_ciede2000"]].concat();
    // Cut off within its last row as well.
    let old = without(&whole, &lost);
    std::fs::write(&path, &old[..old.len() - 5]).unwrap();
    let mut again = Table::open(&path).unwrap();
    assert_eq!(again.before(), count - 1);
    run(&plan, &mut again, |_, _| ()).unwrap();
    let found = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found.lines().next(), whole.lines().next(), "under the columns of today");
    assert_eq!(without(&found, &lost), without(&whole, &lost), "the same rows in the same order");
    let known = again.rows().into_iter().filter(|row| !row.get("one_step").is_empty()).count();
    assert!(known < count / 2, "what was there is not measured again: {known} of {count}");
    let notes = Summary::new(&again.rows()).notes;
    assert!(notes.iter().any(|note| note.contains("rows of an older version do not tell")), "{notes:?}");
    // What a row depends on cannot be made up, and what this version does not know is not thrown away.
    let newer = whole.replacen("gradients,", "gradients,beyond,", 1);
    for (table, cause) in [(without(&whole, &["region", "score"]), "(region, score)"), (newer, "the column beyond")] {
        std::fs::write(&path, &table).unwrap();
        let error = Table::open(&path).err().unwrap().to_string();
        assert!(error.contains(cause) && error.contains("a new folder for --out"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), table, "and left alone");
    }
}

#[test]
fn a_campaign_tells_the_steps_of_the_attack_that_runs() {
    let temporary = tempfile::tempdir().unwrap();
    let images = temporary.path().join("images");
    folder(&images);
    let mut plan = plan(&images, &Device::flex());
    plan.attacks = vec![Attack::FGSM, Attack::parse("bim", &["steps=3"]).unwrap()];
    let mut heard = Vec::new();
    let mut table = Table::open(&temporary.path().join("rows.csv")).unwrap();
    run_watched(&plan, &mut table, &mut |ahead| heard.push(ahead)).unwrap();
    // Eight images × two attacks × two models.
    assert_eq!(heard.last(), Some(&Headway { pairs: [32, 32], running: None }));
    assert!(heard.windows(2).all(|pair| pair[0].pairs[0] <= pair[1].pairs[0]), "{heard:?}");
    assert_eq!(heard.iter().filter(|ahead| ahead.pairs[0] == 32).count(), 1, "the end is told once");
    let running: Vec<[usize; 3]> = heard.iter().filter_map(|ahead| ahead.running).collect();
    assert!(!running.is_empty() && running.iter().all(|[together, step, of]| *together <= 3 && step <= of && *of >= 3));
    // Of each run the last step is told.
    assert!(running.iter().any(|[_, step, of]| step == of), "{running:?}");
}
