# SPDX-License-Identifier: Apache-2.0
# A text as a C string literal to #include.
s/[\\"]/\\&/g
s/.*/"&\\n"/
