use super::*;

fn options(town: Town, seed: u64, anomalies: bool) -> DriveOptions {
    DriveOptions { town, seed, anomalies, width: 128, height: 64, ..Default::default() }
}

#[test]
fn the_same_options_give_the_same_bytes() {
    let drive = || Drive::new(&options(Town::Test, 5, true)).take(4).collect::<Vec<_>>();
    let (one, two) = (drive(), drive());
    assert!(one == two);
    assert!(one[0].image != one[3].image, "it moves");
    let other: Vec<_> = Drive::new(&options(Town::Test, 6, true)).take(1).collect();
    assert!(one[0].image != other[0].image, "another seed, another street");
    let elsewhere: Vec<_> = Drive::new(&options(Town::Val, 5, true)).take(1).collect();
    assert!(one[0].image != elsewhere[0].image, "another town");
}
