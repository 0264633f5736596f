"""The features file gives back what was written, row by row, and refuses what does not fit."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset

from cacr.regions import FeatureStore, Regions, open_features, write_features


def tensors(**changes):
    return {
        "features": torch.zeros(3, 2),
        "boxes01": torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3),
        "offsets": torch.tensor([0, 1, 3]),
        "sizes": torch.tensor([[4, 4], [4, 4]]),
    } | changes


def saved(path, ids='["a", "b"]', more_metadata=None, **changes):
    metadata = {"format": "cacr-regions-1", "image_ids": ids} | (more_metadata or {})
    save_file(tensors(**changes), path, metadata=metadata)
    return path


@pytest.mark.parametrize("ids", ["", "5", '["a"]', "{", '["a", "a"]'])
def test_a_file_with_other_image_ids_is_refused(tmp_path, ids):
    with pytest.raises(ValueError, match=r"f\.safetensors (has no list of image_ids|names [12] pictures)"):
        open_features(saved(tmp_path / "f.safetensors", ids))


@pytest.mark.parametrize("offsets", [[0, 1, 9], [0, 0, 3], [0, 3, 1], [1, 2, 3]])
def test_offsets_that_do_not_fit_are_refused(tmp_path, offsets):
    with pytest.raises(ValueError, match="offsets do not fit"):
        open_features(saved(tmp_path / "f.safetensors", offsets=torch.tensor(offsets)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"offsets": torch.tensor([0.0, 1.0, 3.0])},
            "offsets has type torch.float32; expected whole numbers",
        ),
        (
            {"features": torch.zeros(3, 2, dtype=torch.int64)},
            "features has type torch.int64; expected floating",
        ),
        ({"features": torch.zeros(3, 2, dtype=torch.int8)}, "tensor features has type I8"),
        ({"boxes01": torch.zeros(3, 5)}, r"boxes01 has shape \[3, 5\]; expected \[3, 4\]"),
        ({"extents01": torch.zeros(2, 2)}, r"extents01 has shape \[2, 2\]; expected \[3, 2\]"),
        ({"sizes": torch.tensor([[4, 0], [4, 4]])}, "sizes are not"),
        ({"object_name_ids": torch.tensor([0, 0, 0])}, "no list of object_names"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        open_features(saved(tmp_path / "f.safetensors", **changes))


@pytest.mark.parametrize(
    ("shape", "message"), [((3, 0), r"features have shape \[3, 0\]"), ((0, 2), "offsets do not fit")]
)
def test_features_of_no_bytes_are_refused_as_others_that_do_not_fit(tmp_path, shape, message):
    with pytest.raises(ValueError, match=message):
        open_features(saved(tmp_path / "f.safetensors", features=torch.zeros(shape)))


def test_a_name_outside_of_the_list_is_refused(tmp_path):
    path = saved(
        tmp_path / "f.safetensors",
        more_metadata={"object_names": '["x"]'},
        object_name_ids=torch.tensor([0, 0, 7]),
    )
    assert open_features(path)["a"].object_names == ("x",)
    with pytest.raises(ValueError, match="picture b: a name has an index outside"):
        open_features(path)["b"]


def test_bad_values_are_named_by_file_and_picture(tmp_path):
    path = saved(tmp_path / "f.safetensors", features=torch.full((3, 2), torch.nan))
    with pytest.raises(ValueError, match=r"f\.safetensors, picture b: features hold NaN"):
        open_features(path)["b"]


def test_widths_must_agree(tmp_path):
    two = {n: Regions(torch.zeros(1, n), torch.tensor([[0.0, 0.0, 1.0, 1.0]])) for n in (2, 3)}
    with pytest.raises(ValueError, match=r"features have \[2, 3\] numbers per region"):
        write_features(tmp_path / "f.safetensors", {str(n): r for n, r in two.items()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [False, True])
def test_what_was_written_is_read(tmp_path, make, full):
    pictures = {f"{i}.jpg": make.some(2 + i, seed=i, full=full) for i in range(4)}
    seen = []
    write_features(tmp_path / "f.safetensors", pictures, progress=seen.append)
    store = open_features(tmp_path / "f.safetensors")
    assert seen == [1, 2, 3, 4]
    assert list(store) == list(pictures)
    assert all(make.same(store[image_id], regions) for image_id, regions in pictures.items())
    assert store.describe() == "features file: 4 pictures, 8 numbers per region, float32"
    assert [file.name for file in tmp_path.iterdir()] == ["f.safetensors"]


def test_pictures_are_read_one_by_one_when_written(tmp_path, make):
    alive = []

    class Counted(dict):
        def __getitem__(self, image_id):
            regions = make.some(1, seed=int(image_id))
            import weakref

            alive.append(weakref.ref(regions))
            self.most = max(getattr(self, "most", 0), sum(one() is not None for one in alive))
            return regions

    many = Counted.fromkeys(map(str, range(700)))
    write_features(tmp_path / "f.safetensors", many)
    assert many.most < 300


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_features_are_stored_in_a_type_and_read_as_float32(tmp_path, make, dtype):
    write_features(tmp_path / "f.safetensors", {"a": make.some()}, dtype=dtype)
    assert load_file(tmp_path / "f.safetensors")["features"].dtype is dtype
    read = open_features(tmp_path / "f.safetensors")["a"].features
    assert read.dtype is torch.float32
    assert torch.equal(read, make.some().features.to(dtype).float())


def test_features_too_large_for_the_type_are_refused(tmp_path):
    huge = Regions(torch.full((1, 2), 1e5), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    with pytest.raises(ValueError, match=r"picture a: features reach 1e\+05, more than torch.float16 holds"):
        write_features(tmp_path / "f.safetensors", {"a": huge}, dtype=torch.float16)


def test_pictures_with_different_fields_are_refused(tmp_path, make):
    with pytest.raises(
        ValueError, match="picture b differs from those before in having or lacking attribute_conf"
    ):
        write_features(tmp_path / "f.safetensors", {"a": make.some(), "b": make.some(full=True)})


def test_what_is_read_is_a_copy(tmp_path, make):
    write_features(tmp_path / "f.safetensors", {"a": make.some(full=True)})
    store = open_features(tmp_path / "f.safetensors")
    read = store["a"]
    for name in ("features", "boxes01", "object_ids"):
        getattr(read, name).zero_()
    assert make.same(store["a"], make.some(full=True))


def test_an_existing_file_is_not_overwritten(tmp_path, make):
    write_features(tmp_path / "f.safetensors", {"a": make.some()})
    before = (tmp_path / "f.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="not overwritten"):
        write_features(tmp_path / "f.safetensors", {"b": make.some()})
    assert (tmp_path / "f.safetensors").read_bytes() == before


def test_nothing_to_write_is_said(tmp_path):
    with pytest.raises(ValueError, match="no pictures to write"):
        write_features(tmp_path / "f.safetensors", {})


def test_a_missing_picture_is_a_sentence_and_a_key_error(tmp_path, make):
    write_features(tmp_path / "f.safetensors", {"a.npz": make.some()})
    store = open_features(tmp_path / "f.safetensors")
    assert "a" in store and "a.npz" in store and "b" not in store and 5 not in store
    assert store.get("b") is None
    with pytest.raises(KeyError) as caught:
        store["b"]
    assert str(caught.value).endswith("has no picture 'b'; it holds 1, e.g. 'a.npz'")


def test_a_file_cut_anywhere_is_refused(tmp_path, make):
    write_features(tmp_path / "f.safetensors", {"a": make.some(full=True), "b": make.some(full=True)})
    whole = (tmp_path / "f.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in [*range(0, 32), *range(32, len(whole), 17), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.safetensors"):
            open_features(cut)


def test_data_offsets_that_lie_are_refused(tmp_path):
    path = saved(tmp_path / "f.safetensors")
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    for wrong in ([0, 1 << 40], [8, 32], [-8, 16]):
        header["features"]["data_offsets"] = wrong
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            open_features(path)


def test_an_old_file_opens(tmp_path):
    """As written before there were further tensors: by safetensors itself, tensors in its own order."""
    regions = open_features(saved(tmp_path / "f.safetensors"))["b"]
    assert (len(regions), regions.size, regions.boxes[0].tolist()) == (2, (4, 4), [0, 0, 4, 4])
    assert regions.object_ids is None


def test_a_folder_of_files_is_one_store(tmp_path, make):
    write_features(tmp_path / "1.safetensors", {"a": make.some(seed=1)})
    write_features(tmp_path / "2.safetensors", {"b": make.some(seed=2)})
    store = pickle.loads(pickle.dumps(open_features(tmp_path)))
    assert list(store) == ["a", "b"]
    assert make.same(store["b"], make.some(seed=2))
    assert store.describe() == "folder of 2 features files: 2 pictures, 8 numbers per region"
    write_features(tmp_path / "3.safetensors", {"a": make.some()})
    with pytest.raises(ValueError, match=r"1\.safetensors and .*3\.safetensors both hold picture a"):
        open_features(tmp_path)


class Sums(Dataset):
    def __init__(self, store):
        self.store, self.ids = store, list(store)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return float(self.store[self.ids[i]].features.sum())


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("kind", ["file", "folder", "lmdb", "npz", "tsv"])
def test_stores_go_to_workers(tmp_path, make, kind, start):
    if start == "spawn" and kind not in ("file", "lmdb"):
        pytest.skip("pickling is tested on its own; two kinds suffice for a fresh process")
    stores = {
        "file": lambda: write_features(
            tmp_path / "f.safetensors", {"a": make.some(), "b": make.some(seed=1)}
        ),
        "folder": lambda: write_features(
            tmp_path / "f.safetensors", {"a": make.some(), "b": make.some(seed=1)}
        ),
        "lmdb": lambda: make.lmdb(
            tmp_path / "all", {f"{i}.npz": make.packed(make.uniter_arrays(seed=i)) for i in range(3)}
        ),
        "npz": lambda: (tmp_path / "a.npz").write_bytes(make.npz_bytes(make.uniter_arrays())),
        "tsv": lambda: (tmp_path / "f.tsv").write_text(make.bottom_up_line("1") + "\n"),
    }
    stores[kind]()
    path = {"file": tmp_path / "f.safetensors", "tsv": tmp_path / "f.tsv"}.get(kind, tmp_path)
    data = Sums(open_features(path))
    here = [data[i] for i in range(len(data))]  # open in this process before the worker starts
    loader = DataLoader(data, batch_size=None, num_workers=1, multiprocessing_context=start)
    assert [float(x) for x in loader] == here
    assert [data[i] for i in range(len(data))] == here
    assert pickle.loads(pickle.dumps(data.store))[data.ids[0]].features.sum() == here[0]


def test_the_class_opens_a_path_by_itself(tmp_path, make):
    write_features(tmp_path / "f.safetensors", {"a": make.some()})
    assert FeatureStore(tmp_path / "f.safetensors").width == make.width
