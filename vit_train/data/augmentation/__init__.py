"""Variations of training images: drawn without state as parameters, then applied in few passes.

`draw` makes parameters of (seed, example, epoch); `apply` makes images of images and parameters, here on the CPU, in
`vit_train.models.resample` on an accelerator. Every kind of parameter is one pass, however many operations are in it.
"""
