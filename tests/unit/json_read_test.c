/* Promises of common/json_read.h. */
#include "tests/unit/test.h"

#include "common/json_read.h"
#include "common/size.h"

static const struct {
    const char *text;
    bool valid;
} texts[] = {
    {"{}", true},
    {" [ ] ", true},
    {"[1,2.5,-0,1e5,1E-2,true,false,null,\"\"]", true},
    {"{\"a\":{\"b\":[{}]}}", true},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"", true},
    {"\"\\ud83d\\ude00\"", true},
    {"", false},
    {"{", false},
    {"{\"a\"}", false},
    {"{\"a\":1,}", false},
    {"{a:1}", false},
    {"[1,]", false},
    {"[1 2]", false},
    {"01", false},
    {"1.", false},
    {".5", false},
    {"+1", false},
    {"1e", false},
    {"tru", false},
    {"\"\\x\"", false},
    {"\"\\ud83d\"", false}, /* half a pair, RFC 8259 8.2 */
    {"\"\\ude00\"", false},
    {"\"a\nb\"", false},
    {"\"\377\"", false},
    {"\"open", false},
    {"{} {}", false},
};

static void only_json_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct json_value value;
        if (json_parse(slice_of_string(texts[i].text), &value) != texts[i].valid)
            fail_msg("%s", texts[i].text);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    uint8_t deep[2000];
    struct json_value value;
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    assert_false(json_parse(slice_of(deep, sizeof(deep)), &value));
    assert_true(json_parse(slice_of(deep + 985, 30), &value));
}

static void members_are_found(void **state)
{
    (void)state;
    struct json_value object, member;
    assert_true(
        json_parse(SLICE("{ \"a\" : \"x\", \"b\":[1, \"two\" ,{}], \"c\":1, \"c\":2 }"), &object));
    assert_true(json_member(&object, "a", &member));
    assert_true(json_is(&member, "x"));
    assert_false(json_is(&member, "xy"));
    assert_false(json_member(&object, "c", &member)); /* twice: whose is it? */
    assert_false(json_member(&object, "d", &member));
    assert_true(json_member(&object, "b", &member));
    struct slice rest = member.text;
    static const enum json_kind kinds[] = {JSON_NUMBER, JSON_STRING, JSON_OBJECT};
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        struct json_value element;
        assert_true(json_next(&rest, &element));
        assert_int_equal(element.kind, kinds[i]);
    }
    assert_false(json_next(&rest, &member));
}

static void texts_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *meant; /* NULL: none */
    } cases[] = {
        {"\"a\\u0040b\"", "a@b"},
        {"\"\\ud83d\\ude00\"", "\360\237\230\200"},
        {"\"\\u0000\"", NULL},
        {"\"0123456789\"", NULL}, /* longer than the buffer */
        {"1", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(8);
        struct json_value value;
        assert_true(json_parse(slice_of_string(cases[i].text), &value));
        assert_int_equal(json_text(&value, &text), cases[i].meant != NULL);
        if (cases[i].meant)
            assert_slice_is(buffer_slice(&text), cases[i].meant);
        buffer_clear(&text);
    }
}

static void integers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_one;
        int64_t value;
    } cases[] = {
        {"1700000000", true, 1700000000},   {"12.9", true, 12}, {"-5", true, -5}, {"1e9", false, 0},
        {"99999999999999999999", false, 0}, {"\"1\"", false, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct json_value value;
        int64_t integer = 0;
        assert_true(json_parse(slice_of_string(cases[i].text), &value));
        assert_int_equal(json_integer(&value, &integer), cases[i].is_one);
        assert_int_equal(integer, cases[i].value);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_json_is_taken), cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(members_are_found),  cmocka_unit_test(texts_are_decoded),
        cmocka_unit_test(integers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
