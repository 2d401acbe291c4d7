//! Whatever happens in whatever order, every task ends up as wanted.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Place,
    Stop(usize),
    Wait(u64),
    Crash,
    Cut,
    Outage(u64),
    /// The disk is slow for so long; then it has written everything, or the process has crashed.
    HoldDisk(u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Place),
        3 => (0..20_usize).prop_map(Step::Stop),
        5 => (1..5_000_u64).prop_map(Step::Wait),
        2 => Just(Step::Crash),
        1 => Just(Step::Cut),
        1 => (1..100_000_u64).prop_map(Step::Outage),
        2 => (1..3_000_u64, any::<bool>()).prop_map(|(millis, crash)| Step::HoldDisk(millis, crash)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Through crashes at any point, lost connections and slow disks: every task that is wanted runs, started once;
    /// every one that is not wanted ends and is reported so.
    #[test]
    fn every_task_ends_up_as_wanted(steps in prop::collection::vec(step(), 1..40)) {
        let mut rig = Rig::connected();
        let mut placed = 0_usize;
        for step in &steps {
            match step {
                Step::Place => {
                    let name = placed.to_string();
                    rig.place(&name, Rig::payload(&name, "bb"));
                    placed += 1;
                }
                Step::Stop(at) => rig.stop(&(at % placed.max(1)).to_string()),
                Step::Wait(millis) => rig.run(Duration::from_millis(*millis)),
                Step::Crash => {
                    rig.crash();
                    rig.begin();
                }
                Step::Cut => rig.cut(),
                Step::Outage(millis) => {
                    rig.cut_off = true;
                    rig.cut();
                    rig.run(Duration::from_millis(*millis));
                    rig.cut_off = false;
                }
                Step::HoldDisk(millis, crash) => {
                    rig.syncs = false;
                    let (name, next) = (placed.to_string(), Rig::payload(&placed.to_string(), "bb"));
                    rig.place(&name, next);
                    placed += 1;
                    rig.run(Duration::from_millis(*millis));
                    if *crash {
                        rig.crash();
                    }
                    rig.syncs = true;
                    if *crash {
                        rig.begin();
                    }
                    rig.settle();
                }
            }
        }
        rig.run(1800 * SECOND);
        for n in 0..placed {
            let name = n.to_string();
            let (heard, wanted) = (rig.heard(&name), rig.desired.get(Rig::arn(&name).as_str()));
            match wanted {
                Some((want, confirmed)) => {
                    prop_assert_eq!(*want, DesiredStatus::Running, "{} should have stopped: {:?}", name, heard);
                    prop_assert!(*confirmed);
                    prop_assert_eq!(heard.last(), Some(&"RUNNING"), "{}: {:?}", name, heard);
                }
                None => {
                    let last = heard.last().copied().unwrap_or_default();
                    prop_assert!(last.starts_with("STOPPED"), "{}: {:?}", name, heard);
                }
            }
        }
        prop_assert_eq!(rig.runtime.world.running(), rig.desired.len());
        for (container, starts) in rig.runtime.world.all_starts() {
            prop_assert!(*starts <= 1, "{} was started {} times", container, starts);
        }
        prop_assert!(rig.runtime.world.double_creates().is_empty());
        prop_assert_eq!(&rig.exit, &None);
    }
}
