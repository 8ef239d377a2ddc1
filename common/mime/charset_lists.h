/*
 * The charsets whose tables are made at build time, by iconv(3) (design: gconv modules are files
 * that no role can open in its sandbox). For charset_tables_main.c, which makes them, and
 * charset.c, which uses them.
 */
#ifndef COMMON_MIME_CHARSET_LISTS_H
#define COMMON_MIME_CHARSET_LISTS_H

/* Of one octet a character: the table's name, iconv's name, aliases with a space around each. */
#define CHARSETS_OF_ONE_OCTET(X)                                                                   \
    X(iso_8859_1, "ISO-8859-1",                                                                    \
      " iso8859-1 iso_8859-1 iso_8859-1:1987 latin1 l1 cp819 csisolatin1 ")                        \
    X(iso_8859_2, "ISO-8859-2", " iso8859-2 iso_8859-2 iso_8859-2:1987 latin2 l2 csisolatin2 ")    \
    X(iso_8859_3, "ISO-8859-3", " iso8859-3 iso_8859-3 iso_8859-3:1988 latin3 l3 csisolatin3 ")    \
    X(iso_8859_4, "ISO-8859-4", " iso8859-4 iso_8859-4 iso_8859-4:1988 latin4 l4 csisolatin4 ")    \
    X(iso_8859_5, "ISO-8859-5",                                                                    \
      " iso8859-5 iso_8859-5 iso_8859-5:1988 cyrillic csisolatincyrillic ")                        \
    X(iso_8859_6, "ISO-8859-6",                                                                    \
      " iso8859-6 iso_8859-6 iso_8859-6:1987 arabic ecma-114 asmo-708 iso-8859-6-e iso-8859-6-i "  \
      "csisolatinarabic ")                                                                         \
    X(iso_8859_7, "ISO-8859-7",                                                                    \
      " iso8859-7 iso_8859-7 iso_8859-7:1987 greek greek8 ecma-118 elot_928 csisolatingreek ")     \
    X(iso_8859_8, "ISO-8859-8",                                                                    \
      " iso8859-8 iso_8859-8 iso_8859-8:1988 hebrew iso-8859-8-e iso-8859-8-i logical "            \
      "csisolatinhebrew ")                                                                         \
    X(iso_8859_9, "ISO-8859-9", " iso8859-9 iso_8859-9 iso_8859-9:1989 latin5 l5 csisolatin5 ")    \
    X(iso_8859_10, "ISO-8859-10", " iso8859-10 iso_8859-10:1992 latin6 l6 csisolatin6 ")           \
    X(iso_8859_11, "ISO-8859-11", " iso8859-11 ")                                                  \
    X(iso_8859_13, "ISO-8859-13", " iso8859-13 latin7 l7 ")                                        \
    X(iso_8859_14, "ISO-8859-14",                                                                  \
      " iso8859-14 iso_8859-14 iso_8859-14:1998 latin8 l8 iso-celtic ")                            \
    X(iso_8859_15, "ISO-8859-15", " iso8859-15 iso_8859-15 latin-9 latin9 csiso885915 ")           \
    X(iso_8859_16, "ISO-8859-16", " iso8859-16 iso_8859-16 iso_8859-16:2001 latin10 l10 ")         \
    X(windows_874, "CP874", " windows-874 dos-874 ")                                               \
    X(tis_620, "TIS-620", " tis620 tis620.2533-0 ")                                                \
    X(windows_1250, "CP1250", " windows-1250 x-cp1250 cswindows1250 ")                             \
    X(windows_1251, "CP1251", " windows-1251 x-cp1251 cswindows1251 ")                             \
    X(windows_1252, "CP1252", " windows-1252 x-cp1252 cswindows1252 ")                             \
    X(windows_1253, "CP1253", " windows-1253 x-cp1253 cswindows1253 ")                             \
    X(windows_1254, "CP1254", " windows-1254 x-cp1254 cswindows1254 ")                             \
    X(windows_1255, "CP1255", " windows-1255 x-cp1255 cswindows1255 ")                             \
    X(windows_1256, "CP1256", " windows-1256 x-cp1256 cswindows1256 ")                             \
    X(windows_1257, "CP1257", " windows-1257 x-cp1257 cswindows1257 ")                             \
    X(windows_1258, "CP1258", " windows-1258 x-cp1258 cswindows1258 ")                             \
    X(koi8_r, "KOI8-R", " koi8r koi8 koi cskoi8r ")                                                \
    X(koi8_u, "KOI8-U", " koi8u koi8-ru ")                                                         \
    X(koi8_t, "KOI8-T", " ")                                                                       \
    X(cp437, "CP437", " ibm437 437 cspc8codepage437 ")                                             \
    X(cp737, "CP737", " ibm737 ")                                                                  \
    X(cp775, "CP775", " ibm775 ")                                                                  \
    X(cp850, "CP850", " ibm850 850 cspc850multilingual ")                                          \
    X(cp852, "CP852", " ibm852 852 cspcp852 ")                                                     \
    X(cp855, "CP855", " ibm855 855 ")                                                              \
    X(cp857, "CP857", " ibm857 857 ")                                                              \
    X(cp858, "CP858", " ibm00858 cp00858 ")                                                        \
    X(cp860, "CP860", " ibm860 860 ")                                                              \
    X(cp861, "CP861", " ibm861 861 cp-is ")                                                        \
    X(cp862, "CP862", " ibm862 862 dos-862 ")                                                      \
    X(cp863, "CP863", " ibm863 863 ")                                                              \
    X(cp865, "CP865", " ibm865 865 ")                                                              \
    X(cp866, "CP866", " ibm866 866 csibm866 ")                                                     \
    X(cp869, "CP869", " ibm869 869 cp-gr ")                                                        \
    X(cp1125, "CP1125", " ruscii ibm848 ")                                                         \
    X(macintosh, "MACINTOSH", " mac csmacintosh x-mac-roman ")                                     \
    X(mac_cyrillic, "MAC-CYRILLIC", " x-mac-cyrillic x-mac-ukrainian maccyrillic ")                \
    X(mac_centraleurope, "MAC-CENTRALEUROPE", " x-mac-ce ")                                        \
    X(hp_roman8, "HP-ROMAN8", " roman8 r8 ")                                                       \
    X(armscii_8, "ARMSCII-8", " ")                                                                 \
    X(georgian_ps, "GEORGIAN-PS", " ")                                                             \
    X(georgian_academy, "GEORGIAN-ACADEMY", " ")                                                   \
    X(pt154, "PT154", " ptcp154 cp154 csptcp154 ")                                                 \
    X(rk1048, "RK1048", " strk1048-2002 kz-1048 ")

/* Of one or two: table, iconv's name, first and last octet of a pair, the same for its second. */
#define CHARSETS_OF_TWO_OCTETS(X)                                                                  \
    X(gb18030, "GB18030", 0x81, 0xfe, 0x40, 0xfe)                                                  \
    X(big5, "BIG5", 0x81, 0xfe, 0x40, 0xfe)                                                        \
    X(uhc, "UHC", 0x81, 0xfe, 0x41, 0xfe)                                                          \
    X(euc_jp, "EUC-JP", 0x8e, 0xfe, 0xa1, 0xfe)                                                    \
    X(shift_jis, "SJIS", 0x81, 0xfc, 0x40, 0xfc)                                                   \
    X(windows_31j, "CP932", 0x81, 0xfc, 0x40, 0xfc)

#endif
