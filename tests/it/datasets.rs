//! A folder is the data set that it is: every layout of images, masks and classes that people keep, found without decoding a
//! pixel, opened as cases, and what is ambiguous said.

use super::app::shared;
use epsiloscope::data::dataset::MaskSource;
use epsiloscope::data::{Dataset, Image, LabelMap, StoredType, write_image};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// Writes a grey image of 6 × 4 pixels, all of `value`.
fn image(folder: &Path, name: &str, value: f32) {
    sized(folder, name, value, [4, 6]);
}

fn sized(folder: &Path, name: &str, value: f32, [height, width]: [usize; 2]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = Image::new(1, height, width, vec![value; height * width]).unwrap();
    write_image(&path, &image, StoredType::U8).unwrap();
}

fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in names.iter().enumerate() {
        image(folder.path(), name, index as f32);
    }
    folder
}

fn find(path: &Path) -> Dataset {
    Dataset::find(path, &AtomicBool::new(false), &|_| {}).unwrap()
}

/// Image and mask of each entry, relative to the folder.
fn pairs(set: &Dataset) -> Vec<(String, String)> {
    let relative = |path: &Path| path.strip_prefix(&set.path).unwrap().display().to_string().replace('\\', "/");
    set.entries
        .iter()
        .map(|entry| (relative(&entry.image.file), entry.mask_file().map(relative).unwrap_or_default()))
        .collect()
}

#[test]
fn masks_are_paired_by_name() {
    for [image, mask] in [
        ["x.png", "x_mask.png"],
        ["x.png", "x-mask.tif"],
        ["x.png", "x_seg.png"],
        ["x.png", "x_labels.png"],
        ["x.png", "x_label.png"],
        ["01_img.png", "01_seg.png"],
        ["train-volume.png", "train-labels.png"],
        ["images/x.png", "masks/x.png"],
        ["images/x.png", "labels/x.tif"],
        ["a/images/x.png", "a/annotations/x_mask.png"],
        ["imagesTr/case_0000.png", "labelsTr/case.png"],
        ["x.png", "gt/x.png"],
        ["train/img/x.png", "train/gt/x.png"],
    ] {
        let folder = folder(&[image, mask]);
        let set = find(folder.path());
        assert_eq!(pairs(&set), [(image.to_owned(), mask.to_owned())], "{:?}", set.notes);
        assert_eq!(set.kind(), "images with masks");
        assert!(set.notes.is_empty(), "{image}: {:?}", set.notes);
    }
    let folder = folder(&["x.png", "x_mask.png", "y.png"]);
    assert_eq!(find(folder.path()).kind(), "images, some with masks");
}

#[test]
fn what_does_not_pair_is_said() {
    let folder = folder(&["images/a.png", "images/b.png", "masks/a.png", "masks/c.png", "masks/d.png", "masks/e.png"]);
    let set = find(folder.path());
    assert_eq!((set.entries.len(), set.masks()), (2, 1));
    let notes = set.notes.join("\n");
    assert!(notes.contains("unpaired: 3 masks without an image: c.png, d.png, e.png"), "{notes}");
    assert!(notes.contains("unpaired: 1 image without a mask: b.png"), "{notes}");
}

#[test]
fn of_several_masks_the_one_drawn_by_people_is_chosen_and_said() {
    let folder = folder(&["t2.png", "t2_seg.png", "t2_seg-manual.png", "t2_gmseg.png"]);
    let set = find(folder.path());
    assert_eq!(pairs(&set), [("t2.png".to_owned(), "t2_seg-manual.png".to_owned())]);
    assert!(set.notes[0].contains("t2_seg-manual of 3 for t2"), "{:?}", set.notes);
}

#[test]
fn sizes_decide_where_names_do_not() {
    let folder = tempfile::tempdir().unwrap();
    sized(folder.path(), "scan_ct.png", 1.0, [4, 6]);
    sized(folder.path(), "scan_mr.png", 2.0, [5, 7]);
    sized(folder.path(), "scan_seg.png", 0.0, [5, 7]);
    sized(folder.path(), "scan_ct_labels.png", 0.0, [4, 6]);
    let set = find(folder.path());
    let expected = [("scan_ct.png", "scan_ct_labels.png"), ("scan_mr.png", "scan_seg.png")];
    assert_eq!(pairs(&set), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn a_name_that_says_mask_says_nothing_where_no_name_leads_to_an_image() {
    let set_folder = folder(&["ski_mask.png", "tench.png", "train.png"]);
    let set = find(set_folder.path());
    assert_eq!((set.entries.len(), set.masks(), set.splits().len()), (3, 0, 0));
    assert!(set.notes.is_empty() && set.rules.is_empty(), "{:?}", set.notes);
    // One mask alone is an image.
    assert_eq!(find(folder(&["a_mask.png"]).path()).entries.len(), 1);
}

#[test]
fn one_file_for_each_object_is_one_mask() {
    let folder = folder(&["c1/images/c1.png", "c2/images/c2.png", "c2/masks/q.png"]);
    for (name, left) in [("o1", true), ("o2", false)] {
        let pixels: Vec<f32> = (0..24).map(|i| if (i % 6 < 2) == left && i % 6 != 5 { 255.0 } else { 0.0 }).collect();
        let path = folder.path().join(format!("c1/masks/{name}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_image(&path, &Image::new(1, 4, 6, pixels).unwrap(), StoredType::U8).unwrap();
    }
    let set = find(folder.path());
    assert_eq!(set.entries.len(), 2);
    assert!(matches!(&set.entries[0].mask, Some(MaskSource::Instances(files)) if files.len() == 2));
    assert_eq!(set.groups(), 2, "folders of cases are groups, not classes");
    let case = set.open_entry(0, &AtomicBool::new(false)).unwrap().case(&LabelMap { entries: vec![(255, 1), (0, 0)] });
    let mask = case.unwrap().label.unwrap();
    assert_eq!(&mask.classes[..6], [1, 1, 1, 1, 1, 0], "the union of both objects");
}

#[test]
fn folders_are_classes_or_patients() {
    let classes = folder(&["nevus/a.png", "nevus/b.png", "melanoma/c.png", "melanoma/d.png"]);
    let set = find(classes.path());
    assert_eq!(set.classes.iter().map(|name| &**name).collect::<Vec<_>>(), ["melanoma", "nevus"]);
    assert_eq!(set.class_counts(), [2, 2]);
    assert_eq!(set.kind(), "images with classes");
    let case = set.open_entry(3, &AtomicBool::new(false)).unwrap().case(&LabelMap { entries: Vec::new() }).unwrap();
    let class = case.class.unwrap();
    assert_eq!((class.index, class.name.as_deref()), (1, Some("nevus")));

    let split = folder(&["train/0/a.png", "train/1/b.png", "test/0/c.png", "test/1/d.png"]);
    let set = find(split.path());
    assert_eq!((set.classes.len(), set.splits().len()), (2, 2));

    let patients = folder(&["patient_1/a.png", "patient_1/b.png", "patient_2/c.png", "patient_2/d.png"]);
    let set = find(patients.path());
    assert_eq!((set.classes.len(), set.groups()), (0, 2));
}

#[test]
fn a_table_says_classes_splits_and_patients() {
    let folder = folder(&["a/x.png", "a/y.png", "b/z.png"]);
    let table = "\u{feff}File,DX,split,patient\na/x.png,\"nevus, common\",train,p1\ny,mel,test,p1\nZ.PNG,mel,test,p2\nw.png,mel,test,p3\n";
    fs::write(folder.path().join("index.csv"), table).unwrap();
    let set = find(folder.path());
    assert_eq!(set.classes.iter().map(|name| &**name).collect::<Vec<_>>(), ["mel", "nevus, common"]);
    assert_eq!(set.entries.iter().map(|entry| entry.class).collect::<Vec<_>>(), [Some(1), Some(0), Some(0)]);
    assert_eq!(set.groups(), 2);
    assert!(set.notes[0].contains("1 of the 4 rows of index.csv"), "{:?}", set.notes);
}

#[test]
fn slices_of_a_stack_are_entries_with_slices_of_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let synth = ["synth", "--size", "16", "--count", "1", "--slices", "3", "--out"];
    let run = Command::new(env!("CARGO_BIN_EXE_epsiloscope")).args(synth).arg(folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let set = find(folder.path());
    assert_eq!((set.entries.len(), set.files(), set.masks()), (3, 1, 3));
    let entry = set.open_entry(2, &AtomicBool::new(false)).unwrap();
    assert_eq!((entry.slice, entry.stack.slices, entry.mask.as_ref().map(|m| m.slices)), (2, 3, Some(3)));
    let of_stack = Dataset::of_stack(&entry.stack, None).unwrap();
    assert_eq!(of_stack.entries.len(), 3);
    assert_eq!(of_stack.position(&set.entries[0].image.file, 1), Some(1));
}

#[test]
fn a_mask_of_another_size_leaves_its_image() {
    let folder = tempfile::tempdir().unwrap();
    image(folder.path(), "images/x.png", 3.0);
    sized(folder.path(), "masks/x.png", 0.0, [9, 9]);
    let entry = find(folder.path()).open_entry(0, &AtomicBool::new(false)).unwrap();
    assert!(entry.mask.is_none() && entry.mask_error.as_ref().unwrap().to_string().contains("9 × 9"));
    assert!(entry.case(&LabelMap { entries: Vec::new() }).is_err());
}

#[test]
fn a_broken_file_is_an_entry_and_a_folder_without_images_an_error() {
    let set_folder = folder(&["a.png"]);
    fs::write(set_folder.path().join("b.png"), "no pixels").unwrap();
    fs::write(set_folder.path().join("notes.txt"), "no image").unwrap();
    let set = find(set_folder.path());
    assert_eq!(set.entries.len(), 2);
    assert!(set.notes[0].contains("b.png"), "{:?}", set.notes);
    let error = set.open_entry(1, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("b.png") && error.contains("text file"), "{error}");
    assert!(set.open_entry(2, &AtomicBool::new(false)).unwrap_err().to_string().contains("has 2 entries"));

    let empty = tempfile::tempdir().unwrap();
    let error = Dataset::find(empty.path(), &AtomicBool::new(false), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("holds no images"), "{error}");
    let error = Dataset::find(empty.path(), &AtomicBool::new(true), &|_| {}).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn the_command_line_says_what_was_found() {
    let folder = folder(&["images/a.png", "images/b.png", "masks/a.png", "masks/c.png"]);
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_epsiloscope"))
            .arg("dataset")
            .args(arguments)
            .arg(folder.path())
            .output()
            .unwrap()
    };
    let text = String::from_utf8(run(&[]).stdout).unwrap();
    for expected in ["2 images, 1 of them with a mask", "6 × 4 grey  2", "1 mask without an image: c.png"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let samples = Command::new(env!("CARGO_BIN_EXE_epsiloscope"))
        .args(["dataset", "sample-data"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let samples = String::from_utf8(samples.stdout).unwrap();
    for expected in ["48 slices in 7 files, 24 of them with masks", "unpaired: 24 slices without a mask: lumbar-ct"] {
        assert!(samples.contains(expected), "{expected} in {samples}");
    }
    let list = String::from_utf8(run(&["--list"]).stdout).unwrap().replace('\\', "/");
    assert_eq!(
        list,
        "name,image,slice,mask,class,split,group,width,height\na,images/a.png,0,masks/a.png,,,,6,4\nb,images/b.png,0,,,,,6,4\n"
    );
    let missing =
        Command::new(env!("CARGO_BIN_EXE_epsiloscope")).args(["dataset", "/no/such/folder"]).output().unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such/folder: does not exist"));
}

/// Every folder of real data is what its makers say that it is.
#[test]
fn real_folders_are_what_they_are() {
    // Entries, masks, classes, splits.
    for (name, entries, masks, classes, splits) in [
        ("chest_xray", 362, 0, 3, 1),
        ("ham10000_small", 840, 840, 7, 1),
        ("dsb2018", 120, 120, 0, 1),
        ("isbi2012", 60, 30, 0, 2),
        ("mnist", 70_000, 0, 10, 2),
        ("cifar10", 4000, 0, 10, 2),
        ("medmnist", 5030, 0, 2, 3),
        ("lumbar_mr_vb3", 231, 231, 0, 1),
        ("sct_testing", 187, 177, 0, 0),
        ("totalsegmentator_samples", 163, 162, 0, 0),
        ("natural_imagenet_samples", 250, 0, 0, 1),
        ("dicom/torchio_series", 17, 0, 0, 0),
    ] {
        let Some(path) = shared(name) else { return };
        let set = find(&path);
        let found = (set.entries.len(), set.masks(), set.classes.len(), set.splits().len());
        assert_eq!(found, (entries, masks, classes, splits), "{name}: {:?}", set.notes);
        for index in [0, entries / 2] {
            let entry = set.open_entry(index, &AtomicBool::new(false)).unwrap();
            assert!(entry.mask_error.is_none(), "{name}: {:?}", entry.mask_error);
            assert_eq!(entry.mask.is_some(), set.entries[index].mask.is_some(), "{name}");
            let class = entry.stack.about.class(entry.slice);
            assert_eq!(class.is_some(), classes > 0, "{name}");
            assert_eq!(class.map(|class| class.index), set.entries[index].class, "{name}");
            let [_, height, width] = set.entries[index].shape.unwrap();
            assert_eq!([height, width], [entry.stack.height, entry.stack.width], "{name}");
        }
    }
}
