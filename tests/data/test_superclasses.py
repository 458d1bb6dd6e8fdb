from vit_train.data.superclasses import CIFAR100, superclasses_of


def test_there_are_twenty_of_five_classes_each():
    names = tuple(sorted(" ".join(CIFAR100.values()).split()))
    found = superclasses_of("cifar100", names)
    assert len(set(names)) == 100
    assert [(found.index == number).sum() for number in range(20)] == [5] * 20
    assert found.names[found.index[names.index("lawn_mower")]] == "vehicles_2"


def test_other_data_have_none():
    assert superclasses_of("cifar10", ("airplane",)) is None
