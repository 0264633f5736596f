"""The library's common tests of models and configurations, over every class of ours: one TestCase a class."""

import copy
import unittest

import torch

from tests.common_models.testers import BASES, CONFIGS, PRETRAINING, RETRIEVAL, ModelTester, sizes
from tests.common_models.theirs import library

modeling = library("test_modeling_common")
# the tests know classes by the library's own tables of names
modeling.MODEL_MAPPING_NAMES = {
    **modeling.MODEL_MAPPING_NAMES,
    **{one.config_class.model_type: one.__name__ for one in BASES},
}


class Common:
    """One class of models, with its inputs, its labels, and every kind of test switched on."""

    test_can_init_all_missing_weights_before_2023 = True
    additional_model_inputs = ("region_features", "region_positions")

    def setUp(self):
        self.model_tester = ModelTester(self.all_model_classes[0])

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        found = copy.deepcopy(inputs_dict)
        return found | self.model_tester.labels() if return_labels and model_class not in BASES else found

    def test_an_exported_program_gives_the_same_for_other_sizes(self):
        """In place of the library's tests of exporters, which its sdist lacks."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).eval()
        batch, region = torch.export.Dim("batch"), torch.export.Dim("region")
        text = torch.export.Dim("text", max=config.max_position_embeddings)
        axes = {name: {0: batch, 1: region if "region" in name else text} for name in inputs}
        program = torch.export.export(model, (), inputs, dynamic_shapes=axes).module()
        fewer = {name: value[:3, 1:5] for name, value in inputs.items()}
        for given in (inputs, fewer):
            torch.testing.assert_close(program(**given)[0], model(**given)[0])


class Configurations:
    def test_config(self):
        tester = library("test_configuration_common").ConfigTester
        tester(self, config_class=self.config, **sizes(self.config)).run_common_tests()


for one in (*BASES, *RETRIEVAL, *PRETRAINING):
    held = {"all_model_classes": (one,), "__module__": __name__}
    globals()[one.__name__] = type(one.__name__, (Common, modeling.ModelTesterMixin, unittest.TestCase), held)
for one in CONFIGS:
    held = {"config": one, "__module__": __name__}
    globals()[one.__name__] = type(one.__name__, (Configurations, unittest.TestCase), held)
